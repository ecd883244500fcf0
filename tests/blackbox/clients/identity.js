// Asks for an identity token and checks it as a stranger would: discovery, keys, signature, claims.
import * as core from '@actions/core';
import { createRemoteJWKSet, jwtVerify } from 'jose';

async function verified(token, audience) {
  const issuer = process.env.GITHUB_SERVER_URL;
  const discovery = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json();
  if (discovery.issuer !== issuer) throw new Error(`issuer ${discovery.issuer}`);
  const keys = createRemoteJWKSet(new URL(discovery.jwks_uri));
  const { payload, protectedHeader } = await jwtVerify(token, keys, {
    issuer,
    audience,
    algorithms: discovery.id_token_signing_alg_values_supported,
  });
  if (payload.exp - payload.iat > 600) throw new Error('it lives too long');
  return { ...payload, alg: protectedHeader.alg };
}

async function main() {
  const given = process.env.GIVEN_TOKEN;
  const audience = core.getInput('audience') || undefined;
  if (!given && !process.env.ACTIONS_ID_TOKEN_REQUEST_URL) {
    core.info('identity: none');
    return;
  }
  const token = given ?? (await core.getIDToken(audience));
  const claims = await verified(token, audience ?? process.env.GITHUB_SERVER_URL + '/' + process.env.GITHUB_REPOSITORY_OWNER);
  for (const name of Object.keys(claims).sort()) core.info(`claim ${name}=${JSON.stringify(claims[name])}`);
  core.info('identity: all good');
}

main().catch((error) => core.setFailed(error));
