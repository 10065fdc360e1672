"""Exceptions a user can meet; each message says place, value, expectation, remedy."""


class ProtlocError(Exception):
    """A mistake the user can mend; the command line prints it without a traceback and exits with code 2."""


class VocabularyError(ProtlocError):
    """A list of classes is missing, unreadable or contradicts itself."""


class TableError(ProtlocError):
    """A label table cannot be read as one."""


class ImageError(ProtlocError):
    """A field's image files are missing, damaged, too large or do not belong together."""


class StoreError(ProtlocError):
    """A store is missing, damaged, empty, or lacks what a command needs of it."""


class SplitError(ProtlocError):
    """A split cannot be made, found or used."""


class SettingsError(ProtlocError):
    """A setting or recipe is unknown or has a value it cannot have."""


class WeightsError(ProtlocError):
    """Initial weights cannot be had, or do not fit the network."""


class BundleError(ProtlocError):
    """A saved model is missing, damaged, or does not fit the fields it is given."""


class RunError(ProtlocError):
    """A training run is missing, unfinished, or was started with other settings."""


class NothingKeptError(RunError):
    """Ctrl-C came before the first epoch of a run ended."""


class MissingExtraError(ProtlocError):
    """An optional dependency is not installed."""
