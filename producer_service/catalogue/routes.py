"""The catalogue over HTTP: a page for people, JSON for programs, and the documents themselves for tools."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

from fastapi import APIRouter, Header, Response
from fastapi.responses import HTMLResponse

from producer_service.catalogue.entries import Entry
from producer_service.catalogue.page import headers, read_style, render
from producer_service.catalogue.shelf import ASYNCAPI, SCHEMA, Document, Shelf, read_shelf
from producer_service.problems import NOT_FOUND, Problem, in_openapi

ANYBODY = {"Cache-Control": "no-cache"}
"""May be kept, but is asked for again each time; with an ETag, the answer is then a 304."""

IfNoneMatch = Annotated[str, Header(alias="If-None-Match", include_in_schema=False)]


def build_catalogue(shelf: Shelf | None = None) -> APIRouter:
    """Return the routes. Everything is rendered here, once; a request costs a look-up."""
    shelf, style = shelf or read_shelf(), read_style()
    page, policy = Document(render(shelf.entries, style).encode(), "text/html; charset=utf-8"), headers(style)
    router = APIRouter()

    @router.get("/catalogue", response_class=HTMLResponse, include_in_schema=False)
    async def catalogue(if_none_match: IfNoneMatch = "") -> Response:
        return _answer(page, if_none_match, policy)

    @router.get("/v1/catalogue")
    async def entries() -> tuple[Entry, ...]:
        """List every message: what it means, who owns it, its fields, an example, who publishes it and who listens."""
        return shelf.entries

    @router.get("/v1/asyncapi.json", response_class=Response, responses=_described(ASYNCAPI))
    async def asyncapi(if_none_match: IfNoneMatch = "") -> Response:
        """Return the AsyncAPI 3.1 document of both services."""
        return _answer(shelf.asyncapi, if_none_match)

    @router.get(
        "/v1/contracts/{wire_type}", response_class=Response, responses=_described(SCHEMA) | in_openapi(NOT_FOUND)
    )
    async def contract(wire_type: str, if_none_match: IfNoneMatch = "") -> Response:
        """Return the JSON Schema (2020-12) of one message's data."""
        schema = shelf.schemas.get(wire_type)
        if schema is None:
            raise Problem(NOT_FOUND)
        return _answer(schema, if_none_match)

    return router


def _described(media_type: str) -> dict[int | str, dict[str, Any]]:
    """Return what the OpenAPI document says of such a document; the 304 is for If-None-Match."""
    return {200: {"content": {media_type: {}}}, 304: {"description": "The client has it already"}}


def _answer(document: Document, if_none_match: str, more: Mapping[str, str] = MappingProxyType({})) -> Response:
    """Send it, or say that the client has it (RFC 9110, 13.1.2)."""
    known = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    sent = {**more, **ANYBODY, "ETag": document.etag}
    if document.etag in known or "*" in known:
        return Response(status_code=304, headers=sent)
    return Response(document.content, media_type=document.media_type, headers=sent)
