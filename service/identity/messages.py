"""The texts that users read, in each language of the service.

Users of other languages get English. `{name}` stands for the user's name in a greeting, `{code}`
and `{username}` for what Cognito inserts. Tests in `tests/unit/identity` check every language.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

DEFAULT: Final = "en"


class Refusal(Enum):
    """The reason why a user may not sign up or sign in."""

    NO_ADDRESS = "no address"
    DOMAIN = "domain"
    TAKEN = "taken"
    LATER = "later"
    SUSPENDED = "suspended"


class Purpose(Enum):
    """The purpose of a message with a code."""

    CONFIRM = "confirm"
    RESET = "reset"
    VERIFY = "verify"
    SIGN_IN = "sign in"
    INVITE = "invite"


class Wording(NamedTuple):
    """The texts of one language."""

    greeting: str
    named_greeting: str
    closing: str
    subjects: Mapping[Purpose, str]
    bodies: Mapping[Purpose, str]
    refusals: Mapping[Refusal, str]


_C, _R, _V, _S, _I = Purpose
_NO_ADDRESS, _DOMAIN, _TAKEN, _LATER, _SUSPENDED = Refusal

WORDINGS: Final[Mapping[str, Wording]] = {
    "en": Wording(
        greeting="Hello,",
        named_greeting="Hello {name},",
        closing="If you did not ask for this, ignore this message.",
        subjects={
            _C: "Confirm your Wild Rydes account",
            _R: "Reset your Wild Rydes password",
            _V: "Confirm your new address",
            _S: "Your Wild Rydes sign-in code",
            _I: "You are invited to Wild Rydes",
        },
        bodies={
            _C: "Your Wild Rydes confirmation code is {code}.",
            _R: "Your code to choose a new Wild Rydes password is {code}.",
            _V: "Your code to confirm your new address is {code}.",
            _S: "Your Wild Rydes sign-in code is {code}.",
            _I: "Your Wild Rydes user name is {username}, your temporary password is {code}",
        },
        refusals={
            _NO_ADDRESS: "Please sign up with a valid e-mail address.",
            _DOMAIN: "E-mail addresses of this domain cannot sign up here.",
            _TAKEN: "This e-mail address has an account already. Sign in as you did before.",
            _LATER: "We could not create the account just now. Please try again.",
            _SUSPENDED: "This account is suspended. Please contact support.",
        },
    ),
    "es": Wording(
        greeting="Hola:",
        named_greeting="Hola, {name}:",
        closing="Si no lo has pedido, ignora este mensaje.",
        subjects={
            _C: "Confirma tu cuenta de Wild Rydes",
            _R: "Cambia tu contraseña de Wild Rydes",
            _V: "Confirma tu nueva dirección",
            _S: "Tu código de acceso a Wild Rydes",
            _I: "Te invitamos a Wild Rydes",
        },
        bodies={
            _C: "Tu código de confirmación de Wild Rydes es {code}.",
            _R: "Tu código para elegir una nueva contraseña de Wild Rydes es {code}.",
            _V: "Tu código para confirmar la nueva dirección es {code}.",
            _S: "Tu código de acceso a Wild Rydes es {code}.",
            _I: "Tu usuario de Wild Rydes es {username} y tu contraseña temporal es {code}",
        },
        refusals={
            _NO_ADDRESS: "Regístrate con una dirección de correo válida.",
            _DOMAIN: "Las direcciones de este dominio no pueden registrarse aquí.",
            _TAKEN: "Esta dirección ya tiene una cuenta. Inicia sesión como antes.",
            _LATER: "No hemos podido crear la cuenta. Inténtalo de nuevo.",
            _SUSPENDED: "Esta cuenta está suspendida. Ponte en contacto con nosotros.",
        },
    ),
    "de": Wording(
        greeting="Guten Tag,",
        named_greeting="Guten Tag {name},",
        closing="Falls Sie das nicht angefordert haben, ignorieren Sie diese Nachricht.",
        subjects={
            _C: "Bestätigen Sie Ihr Wild-Rydes-Konto",
            _R: "Neues Passwort für Wild Rydes",
            _V: "Bestätigen Sie Ihre neue Adresse",
            _S: "Ihr Anmeldecode für Wild Rydes",
            _I: "Einladung zu Wild Rydes",
        },
        bodies={
            _C: "Ihr Bestätigungscode für Wild Rydes lautet {code}.",
            _R: "Ihr Code für ein neues Passwort bei Wild Rydes lautet {code}.",
            _V: "Ihr Code für die neue Adresse lautet {code}.",
            _S: "Ihr Anmeldecode für Wild Rydes lautet {code}.",
            _I: "Ihr Benutzername bei Wild Rydes ist {username}, Ihr vorläufiges Passwort {code}",
        },
        refusals={
            _NO_ADDRESS: "Bitte melden Sie sich mit einer gültigen E-Mail-Adresse an.",
            _DOMAIN: "Adressen dieser Domain können sich hier nicht registrieren.",
            _TAKEN: "Zu dieser Adresse gibt es schon ein Konto. Melden Sie sich an wie bisher.",
            _LATER: "Das Konto konnte gerade nicht angelegt werden. Versuchen Sie es noch einmal.",
            _SUSPENDED: "Dieses Konto ist gesperrt. Bitte wenden Sie sich an uns.",
        },
    ),
    "ja": Wording(
        greeting="こんにちは。",
        named_greeting="{name} 様",
        closing="お心当たりがない場合は、このメッセージを無視してください。",
        subjects={
            _C: "Wild Rydes アカウントの確認",
            _R: "Wild Rydes パスワードの再設定",
            _V: "新しいメールアドレスの確認",
            _S: "Wild Rydes サインインコード",
            _I: "Wild Rydes へのご招待",
        },
        bodies={
            _C: "Wild Rydes の確認コードは {code} です。",
            _R: "Wild Rydes のパスワード再設定コードは {code} です。",
            _V: "新しいアドレスの確認コードは {code} です。",
            _S: "Wild Rydes のサインインコードは {code} です。",
            _I: "Wild Rydes のユーザー名は {username}、仮パスワードは {code} です。",
        },
        refusals={
            _NO_ADDRESS: "有効なメールアドレスで登録してください。",
            _DOMAIN: "このドメインのメールアドレスでは登録できません。",
            _TAKEN: "このメールアドレスは登録済みです。これまでの方法でサインインしてください。",
            _LATER: "アカウントを作成できませんでした。もう一度お試しください。",
            _SUSPENDED: "このアカウントは停止されています。サポートにご連絡ください。",
        },
    ),
}


def wording(language: str) -> Wording:
    """The texts of a language, such as `ja`; English if the service has no texts in it."""
    return WORDINGS.get(language, WORDINGS[DEFAULT])


def refusal(why: Refusal, language: str) -> str:
    """The text for a user who is refused."""
    return wording(language).refusals[why]
