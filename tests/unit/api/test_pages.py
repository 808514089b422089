"""The pages for people: what is sent, under which policy, and that their texts fit the API."""

from __future__ import annotations

import hashlib
import re

import pytest
from werkzeug.test import TestResponse

from service.api.pages import MEDIA_TYPES, WEB
from service.http.problems import REASONS
from tests.support.api import Api, build_api

PAGES = ("/", "/drive", "/console")
PROJECT = WEB.parents[1]


def get(api: Api, path: str, **headers: str) -> TestResponse:
    return api.call("GET", path, token=None, headers=headers)


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_nothing_but_files_of_the_service_that_are_there(api: Api, path: str) -> None:
    answer = get(api, path)
    assert answer.content_type == "text/html; charset=utf-8"
    loaded = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
    assert len(loaded) > 3
    for address in loaded:
        found = get(api, address)
        assert (found.status_code, found.headers["Cache-Control"]) == (
            200,
            "public, max-age=31536000, immutable",
        )


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_no_inline_script_style_or_handler(api: Api, path: str) -> None:
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", get(api, path).text)


def test_a_page_is_revalidated_and_not_sent_again_unchanged(api: Api) -> None:
    answer = get(api, "/")
    assert answer.headers["Cache-Control"] == "no-cache"
    assert get(api, "/", If_None_Match=answer.headers["ETag"]).status_code == 304


def test_modules_import_only_files_that_are_sent(api: Api) -> None:
    names = {path.name for path in WEB.glob("**/*") if path.suffix in MEDIA_TYPES}
    for path in WEB.glob("*.js"):
        assert set(re.findall(r'from "\./([^"]+)"', path.read_text())) <= names, path.name


def test_the_policy_allows_the_service_the_user_pool_and_the_tiles_and_nobody_else() -> None:
    api = build_api(
        cognito_domain_url="https://login.example.com",
        map_tiles_url="https://tiles.example.com/{z}/{x}/{y}.png",
    )
    policy = dict(
        part.strip().split(" ", 1)
        for part in get(api, "/").headers["Content-Security-Policy"].split(";")
    )
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data: https://tiles.example.com",
        "connect-src": "'self' https://cognito-idp.us-east-1.amazonaws.com https://login.example.com",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_people_sign_in_on_each_page_by_its_own_client() -> None:
    one, three = build_api(), build_api(cognito_client_ids="r,d,c", page_client_ids="r,d,c")
    pool = "https://cognito-idp.us-east-1.amazonaws.com/us-east-1_Example"
    assert all(f'data-pool="{pool}"' in get(one, page).text for page in PAGES)
    assert [clients_of(one, page) for page in PAGES] == [["client"]] * 3
    assert [clients_of(three, page) for page in PAGES] == [["r"], ["d"], ["c"]]


def clients_of(api: Api, page: str) -> list[str]:
    return re.findall(r'data-client="(\w+)"', get(api, page).text)


def test_settings_are_escaped_in_the_page() -> None:
    api = build_api(map_attribution="<b>© O'Hara & Co</b>")
    assert "&lt;b&gt;© O&#x27;Hara &amp; Co&lt;/b&gt;" in get(api, "/").text


def test_behind_a_path_a_page_loads_and_calls_under_it() -> None:
    page = get(build_api(public_url="https://api.example.com/prod"), "/").text
    assert 'data-base="/prod"' in page
    assert 'src="/prod/assets/' in page


def test_an_asset_of_another_release_is_the_one_here_and_kept_by_nobody(api: Api) -> None:
    answer = get(api, "/assets/0123456789abcdef/look.css")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache")


@pytest.mark.parametrize("name", ["rider.html", "README.md", "LICENSE.leaflet", "none.js"])
def test_only_scripts_styles_and_images_are_assets(api: Api, name: str) -> None:
    assert get(api, f"/assets/0123456789abcdef/{name}").status_code == 404


def test_libraries_are_what_their_authors_published_and_bring_their_licences() -> None:
    vendor = WEB / "vendor"
    digests = dict(
        reversed(line.split()) for line in (vendor / "SHA256SUMS").read_text().splitlines()
    )
    files = {path.name for path in vendor.iterdir() if path.suffix in MEDIA_TYPES}
    assert digests == {
        name: hashlib.sha256((vendor / name).read_bytes()).hexdigest() for name in files
    }
    assert {path.name for path in vendor.glob("LICENSE.*")} == {
        "LICENSE.leaflet",
        "LICENSE.oidc-client-ts",
        "LICENSE.jwt-decode",
    }


def test_the_image_ships_the_pages() -> None:
    lines = (PROJECT / ".dockerignore").read_text().splitlines()
    assert "!service" in lines
    assert [line for line in lines if "web" in line] == ["service/web/screenshots"]


def test_the_pages_have_a_sentence_for_every_reason() -> None:
    messages = set(re.findall(r"^  ([a-z_]+): ", (WEB / "messages.js").read_text(), re.MULTILINE))
    assert REASONS.keys() - messages == set()
