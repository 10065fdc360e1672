"""The files of a request, kept in memory alone."""

from __future__ import annotations

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from protloc.atlas.uploads import Upload
from protloc.serve.limits import Limits

FIELD = "files"
FILES = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": [FIELD],
                    "properties": {
                        FIELD: {
                            "type": "array",
                            "minItems": 1,
                            "items": {"type": "string", "format": "binary"},
                            "description": "PNG, TIFF or JPEG files named ID_STAIN, or TIFF stacks of all stains.",
                        }
                    },
                }
            }
        },
    }
}


class _InMemory(MultiPartParser):
    """Keeps files in memory, however large: the size of a request is limited before."""

    spool_max_size = 2**62


async def read_uploads(request: Request, limits: Limits) -> tuple[Upload, ...]:
    """Read the files of a request.

    Raises:
        HTTPException: 400 if it is no form, 422 if it holds no file, 415 if it is of another type.
    """
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise HTTPException(415, f"Expected multipart/form-data with a part {FIELD} for each file.")
    parser = _InMemory(request.headers, request.stream(), max_files=limits.files, max_fields=8)
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:  # a charset that is none is a ValueError
        raise HTTPException(400, f"The form cannot be read: {error}") from error
    try:
        files = [part for part in form.getlist(FIELD) if isinstance(part, UploadFile)]
        uploads = [Upload.named(file.filename or "", await file.read()) for file in files]
    finally:
        await form.close()
    if not uploads:
        raise HTTPException(422, f"No file was sent. Send each as a part called {FIELD}.")
    return tuple(uploads)
