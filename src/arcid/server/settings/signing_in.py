"""How people sign in to the console."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode

from arcid.server.settings.parsing import Listed, issuer_of, origin_of, pairs


class SigningIn(BaseSettings):
    """Passkeys, a provider, second factors."""

    public_url: Annotated[str | None, BeforeValidator(origin_of)] = Field(
        None,
        description="Where browsers find the service, as https://faces.example: what passkeys and "
        "sign-in by OpenID Connect are tied to. Without it passkeys work on localhost only.",
    )
    oidc_issuer: Annotated[str | None, BeforeValidator(issuer_of)] = Field(
        None, description="OpenID Connect provider whose accounts may sign in to the console."
    )
    oidc_client_id: str | None = Field(None, description="What this service is called there.")
    oidc_client_secret: str | None = Field(
        None, repr=False, description="Its secret there; without one PKCE alone protects the code."
    )
    oidc_name: str = Field(
        "single sign-on", min_length=1, max_length=40, description="What its button says."
    )
    oidc_scopes: Listed = Field(
        ("email", "profile"),
        description="What is asked for beside openid, separated by commas; some want groups here.",
    )
    oidc_claim: str = Field("groups", description="Claim that lists somebody's groups.")
    oidc_roles: Annotated[tuple[tuple[str, str], ...], NoDecode, BeforeValidator(pairs)] = Field(
        (),
        description="Which role a group has, as face-admins=admin,staff=viewer; the first that "
        "fits counts, at every sign-in.",
    )
    oidc_default_role: str | None = Field(
        None,
        description="Role of somebody in none of these groups; without it they are refused. Needs "
        "ARCID_OIDC_EMAILS.",
    )
    oidc_emails: Listed = Field(
        (),
        description="Who may sign in by it at all: verified addresses and @domains, separated by "
        "commas; empty: whoever has a role.",
    )
    second_factor: Literal["optional", "admins", "everybody"] = Field(
        "optional",
        description="Which accounts of the console need a second factor; whoever has none sets it "
        "up at the next sign-in.",
    )
