"""The triggers' archive for Lambda, and the triggers of the development stack's user pool.

`python -m service.local.triggers FILE` writes the archive, which has to hold all that the handlers
import and Lambda's Python lacks: the service's own modules and cachetools.
"""

from __future__ import annotations

import io
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import cachetools

_SERVICE: Final = Path(__file__).parents[1]
_ROLE: Final = "wildrydes-triggers"
_TRUST: Final = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:AssumeRole",'
    '"Principal":{"Service":"lambda.amazonaws.com"}}]}'
)
_RIGHTS: Final = (
    '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*","Action":'
    '["cognito-idp:ListUsers","cognito-idp:DescribeUserPoolClient"]}]}'
)

CALLED: Final[Mapping[str, str]] = {
    "PreSignUp": "pre_sign_up.handle",
    "CustomMessage": "custom_message.handle",
    "PreTokenGeneration": "pre_token_generation.handle",
}
"""The triggers of the templates that MiniStack 1.5.33 calls (custom messages only for invitations);
service/identity/README.md lists the others."""


def archive() -> bytes:
    """The archive. The same sources give the same bytes, so that nothing is deployed twice."""
    packages = [
        (path, Path("service") / path.relative_to(_SERVICE))
        for path in _SERVICE.rglob("*.py")
        if path.relative_to(_SERVICE).parts[0] not in {"local", "api"}
    ]
    library = Path(cachetools.__file__).parent
    packages += [(path, Path("cachetools") / path.name) for path in library.glob("*.py")]
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as opened:
        for path, name in sorted(packages, key=lambda each: each[1]):
            # Without the file's own time: the entry has the earliest time that an archive can hold.
            entry = zipfile.ZipInfo(name.as_posix())
            entry.external_attr = 0o644 << 16  # Lambda runs as another user
            opened.writestr(entry, path.read_bytes())
    return whole.getvalue()


def ensure(functions: Any, iam: Any, environment: Mapping[str, str]) -> dict[str, Any]:
    """Create or update the functions. Returns the `LambdaConfig` of a pool that calls them.

    `functions` and `iam` are boto3's clients of Lambda and IAM.
    """
    role, code = _ensure_role(iam), archive()
    arns = {
        name: _ensure_function(functions, name, handler, role, code, environment)
        for name, handler in CALLED.items()
    }
    tokens = {"LambdaVersion": "V3_0", "LambdaArn": arns.pop("PreTokenGeneration")}
    return {**arns, "PreTokenGenerationConfig": tokens}


def _ensure_role(iam: Any) -> str:
    try:
        role: str = iam.get_role(RoleName=_ROLE)["Role"]["Arn"]
    except iam.exceptions.NoSuchEntityException:
        role = iam.create_role(RoleName=_ROLE, AssumeRolePolicyDocument=_TRUST)["Role"]["Arn"]
    iam.put_role_policy(RoleName=_ROLE, PolicyName="pool", PolicyDocument=_RIGHTS)
    return role


def _ensure_function(
    functions: Any, name: str, handler: str, role: str, code: bytes, environment: Mapping[str, str]
) -> str:
    named = f"wildrydes-{name}"
    try:
        functions.update_function_code(FunctionName=named, ZipFile=code)
        settled = functions.update_function_configuration(
            FunctionName=named, Environment={"Variables": dict(environment)}
        )
    except functions.exceptions.ResourceNotFoundException:
        settled = functions.create_function(
            FunctionName=named,
            Runtime="python3.13",
            Handler=f"service.identity.{handler}",
            Role=role,
            Code={"ZipFile": code},
            Timeout=4,
            Environment={"Variables": dict(environment)},
        )
    return str(settled["FunctionArn"])


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(archive())
