"""Numbers of the identity side that are promised, or that other tests use by their names only."""

from __future__ import annotations

from service.identity import aws, challenge, custom_message, pictures, user_migration


def test_codes_and_passwords_can_be_guessed_as_seldom_as_documented() -> None:
    assert (challenge.ATTEMPTS, challenge.DIGITS) == (3, 8)
    assert (user_migration.TRIES, user_migration.TRIES_SECONDS) == (5, 900)
    assert (user_migration.CALLS, user_migration.CALLS_SECONDS) == (60, 60)
    assert (user_migration._tries.maxsize, user_migration._tries.ttl) == (10_000, 900)


def test_pictures_and_names_are_as_large_as_documented() -> None:
    assert (pictures.MOST_PIXELS, pictures.MOST_PER_SIDE) == (24_000_000, 12_000)
    assert (pictures.PHOTO_SIDE, pictures.THUMBNAIL_SIDE, pictures.QUALITY) == (1024, 128, 85)
    assert custom_message.LONGEST_NAME == 40


def test_a_trigger_calls_aws_once() -> None:
    assert (aws._CONFIG.retries or {})["total_max_attempts"] == 1
