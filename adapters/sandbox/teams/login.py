"""Microsoft Entra's part: OpenID metadata of both sides, and tokens for the bot's calls.

Sources: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow and, for the codes,
https://learn.microsoft.com/entra/identity-platform/reference-error-codes
"""

import secrets
import time
import uuid

from aiohttp import web

from adapters.sandbox.teams.call import refused, strike_after, strike_before
from adapters.sandbox.teams.grants import CONNECTOR_AUDIENCE, GRAPH_AUDIENCE, Grant
from adapters.sandbox.teams.keys import ISSUER
from adapters.sandbox.teams.records import Json, TeamsError
from adapters.sandbox.teams.sandbox import SANDBOX, Sandbox


def routes() -> list[web.RouteDef]:
    """Return the routes of both sides' metadata and of the token endpoint."""
    return [
        web.get("/v1/.well-known/openidconfiguration", bot_metadata),
        web.get("/v1/.well-known/keys", keys),
        web.get("/{tenant}/v2.0/.well-known/openid-configuration", tenant_metadata),
        web.post("/{tenant}/oauth2/v2.0/token", token),
    ]


async def bot_metadata(request: web.Request) -> web.Response:
    """Return what https://login.botframework.com/v1/.well-known/openidconfiguration does."""
    base = request.app[SANDBOX].team.base_url
    return web.json_response({
        "issuer": ISSUER,
        "authorization_endpoint": "https://invalid.botframework.com",
        "jwks_uri": f"{base}/v1/.well-known/keys",
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
    })  # fmt: skip


async def keys(request: web.Request) -> web.Response:
    """Return the keys that sign what the bot receives."""
    return web.json_response(request.app[SANDBOX].keys.as_jwks())


async def tenant_metadata(request: web.Request) -> web.Response:
    """Return a tenant's OpenID configuration. Its addresses are https: MSAL takes no others.

    A client for this sandbox asks the same address over http.
    """
    base, tenant = f"https://{request.host}", request.match_info["tenant"]
    if tenant not in _tenants(request.app[SANDBOX]):
        problem = f"AADSTS90002: Tenant '{tenant}' not found."
        return web.json_response(_problem("invalid_tenant", 90002, problem), status=400)
    return web.json_response({
        "token_endpoint": f"{base}/{tenant}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "jwks_uri": f"{base}/{tenant}/discovery/v2.0/keys",
        "issuer": f"{base}/{tenant}/v2.0",
        "authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/authorize",
        "device_authorization_endpoint": f"{base}/{tenant}/oauth2/v2.0/devicecode",
    })  # fmt: skip


def _tenants(sandbox: Sandbox) -> frozenset[str]:
    return frozenset({sandbox.settings.tenant, "botframework.com", "organizations"})


async def token(request: web.Request) -> web.StreamResponse:
    """Issue a token for client credentials, or say in Entra's words why not."""
    sandbox, tenant = request.app[SANDBOX], request.match_info["tenant"]
    form = {name: str(value) for name, value in (await request.post()).items()}
    fault = sandbox.faults.take("token")
    shown = {name: value for name, value in form.items() if name not in {"client_secret", "client_assertion"}}
    try:
        await strike_before(fault)
        answer = _issue(sandbox, tenant, form, shown, request.path)
        await strike_after(fault)
    except TeamsError as error:
        return refused(sandbox, request, "token", shown, error)
    return answer


def _issue(sandbox: Sandbox, tenant: str, form: dict[str, str], shown: Json, path: str) -> web.Response:
    refusal = _refusal(sandbox, tenant, form)
    if refusal is not None:
        status, body = refusal
        sandbox.journal.called("token", path, shown, status=status, error=body["error_description"][:40])
        return web.json_response(body, status=status)
    audience = GRAPH_AUDIENCE if form["scope"].startswith(GRAPH_AUDIENCE) else CONNECTOR_AUDIENCE
    life_s = sandbox.rules.token_life_s
    text = sandbox.keys.issue(
        app_id=form["client_id"],
        tenant=tenant,
        audience=audience,
        life_s=life_s,
        issuer=f"https://sts.windows.net/{tenant}/",
    )
    sandbox.grants.tokens[text] = Grant(audience=audience, expires_at=sandbox.now() + life_s)
    sandbox.journal.called("token", path, shown, status=200, error="")
    answer = {"token_type": "Bearer", "expires_in": int(life_s), "ext_expires_in": int(life_s), "access_token": text}
    return web.json_response(answer, headers={"Cache-Control": "no-store"})


def _refusal(sandbox: Sandbox, tenant: str, form: Json) -> tuple[int, Json] | None:
    app, state = form.get("client_id", ""), sandbox.rules.secret
    scopes = (f"{CONNECTOR_AUDIENCE}/.default", f"{GRAPH_AUDIENCE}/.default")
    if tenant not in _tenants(sandbox):
        return 400, _problem("invalid_request", 90002, f"AADSTS90002: Tenant '{tenant}' not found.")
    if form.get("grant_type") != "client_credentials":
        return 400, _problem("unsupported_grant_type", 70003, "AADSTS70003: The app requested an unsupported grant.")
    knows = sandbox.settings.tenant if sandbox.rules.authority == "tenant" else sandbox.rules.authority
    if app != sandbox.settings.app_id or tenant != knows or state == "unknown_app":
        missing = f"AADSTS700016: Application with identifier '{app}' was not found in the directory '{tenant}'."
        return 400, _problem("unauthorized_client", 700016, missing)
    if state == "expired":
        expired = f"AADSTS7000222: The provided client secret keys for app '{app}' are expired."
        return 401, _problem("invalid_client", 7000222, expired)
    if state == "invalid" or not secrets.compare_digest(
        form.get("client_secret", "").encode(), sandbox.settings.app_password.encode()
    ):
        wrong = (
            "AADSTS7000215: Invalid client secret provided. Ensure the secret being sent in the request is the client "
            f"secret value, not the client secret ID, for a secret added to app '{app}'."
        )
        return 401, _problem("invalid_client", 7000215, wrong)
    if form.get("scope") not in scopes:
        wrong = f"AADSTS70011: The provided value for the input parameter 'scope' is not valid: {form.get('scope')}."
        return 400, _problem("invalid_scope", 70011, wrong)
    return None


def _problem(error: str, code: int, description: str) -> Json:
    stamp = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    return {
        "error": error,
        "error_description": f"{description} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {stamp}",
        "error_codes": [code],
        "timestamp": stamp,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={code}",
    }
