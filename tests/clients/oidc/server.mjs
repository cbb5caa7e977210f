// An OpenID provider for tests, on the certified `oidc-provider`: signs people in, gives JWT access tokens for the resource asked for
// (RFC 8707), and exchanges them for tokens of another audience (RFC 8693).
//
// The first line on standard input is its configuration, each after that a command; each is answered by a line on standard output. It
// ends with its standard input. What the library says goes to standard error.
import { createServer } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createInterface } from 'node:readline';

import { createLocalJWKSet, exportJWK, generateKeyPair, jwtVerify } from 'jose';
import Provider, { errors } from 'oidc-provider';

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';

console.info = console.warn = console.log = console.error;

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const asked = { discovery: 0, keys: 0, exchange: 0 };

// port: 0 for any. tls: {cert, key} in PEM, or absent. users: {name: {claim: value}}. resources: {identifier: {scope, lifetime, algorithm}}. clients: as the library takes
// them. exchanges: {client: {from, to: [audience]}}: whose tokens a client may bring, and what for.
const settings = JSON.parse((await lines.next()).value);
let keys = [await newKey('RS256', 1), await newKey('ES256', 1), await newKey('EdDSA', 1)];
let generation = 1;
let provider;

const answer = (request, response) => {
  const { pathname } = new URL(request.url, 'http://localhost');
  if (pathname.startsWith('/.well-known/')) asked.discovery += 1;
  if (pathname === '/jwks') asked.keys += 1;
  provider.callback()(request, response);
};
const server = settings.tls ? createTlsServer(settings.tls, answer) : createServer(answer);
await new Promise((resolve) => {
  server.listen(settings.port ?? 0, '127.0.0.1', resolve);
});
const issuer = `${settings.tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}`;
provider = newProvider();
say({ issuer });

for await (const line of lines) {
  const command = JSON.parse(line);
  if (command.rotate) {
    // With {"keep": true} the keys of before still verify, but sign no more.
    generation += 1;
    const fresh = await Promise.all(['RS256', 'ES256', 'EdDSA'].map((algorithm) => newKey(algorithm, generation)));
    keys = command.rotate.keep ? [...fresh, ...keys] : fresh;
    provider = newProvider();
  }
  say({ asked });
}
process.exit(0);

async function newKey(algorithm, number) {
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true });
  return { ...await exportJWK(privateKey), alg: algorithm, use: 'sig', kid: `${algorithm}-${number}` };
}

function resourceServer(identifier) {
  const known = settings.resources[identifier];
  if (!known) throw new errors.InvalidTarget();
  return {
    audience: identifier,
    scope: known.scope,
    accessTokenTTL: known.lifetime ?? 600,
    accessTokenFormat: 'jwt',
    jwt: { sign: { alg: known.algorithm ?? 'RS256' } },
  };
}

function newProvider() {
  const made = new Provider(issuer, {
    clients: settings.clients,
    jwks: { keys },
    cookies: { keys: ['only for tests'] },
    findAccount: (_, name) => settings.users[name] && {
      accountId: name,
      claims: () => ({ sub: name, ...settings.users[name] }),
    },
    extraTokenClaims: (_, token) => settings.users[token.accountId],
    features: {
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_, identifier) => resourceServer(identifier),
        useGrantedResource: () => true,
      },
    },
    pkce: { required: () => true },
    ttl: { Session: 3600, Grant: 3600, Interaction: 600, IdToken: 600, AuthorizationCode: 60 },
  });
  made.registerGrantType(
    EXCHANGE,
    exchange,
    [
      'subject_token', 'subject_token_type', 'actor_token', 'actor_token_type', 'requested_token_type', 'audience', 'resource', 'scope',
    ],
  );
  return made;
}

// RFC 8693 section 2, without delegation: the new token is the same person's, for one audience that this client may ask for.
async function exchange(ctx) {
  asked.exchange += 1;
  const { client, params } = ctx.oidc;
  const may = settings.exchanges[client.clientId];
  if (!may) throw new errors.UnauthorizedClient('this client may not exchange tokens');
  if (!params.subject_token) throw new errors.InvalidRequest('subject_token is missing');
  if (![ACCESS_TOKEN, JWT].includes(params.subject_token_type)) throw new errors.InvalidRequest('unknown subject_token_type');
  const requested = params.requested_token_type ?? ACCESS_TOKEN;
  if (![ACCESS_TOKEN, JWT].includes(requested)) throw new errors.InvalidRequest('unknown requested_token_type');
  if (params.actor_token || params.actor_token_type) throw new errors.InvalidRequest('delegation is not supported');
  const target = params.audience ?? params.resource;
  if (typeof target !== 'string' || !may.to.includes(target)) throw new errors.InvalidTarget();

  let subject;
  try {
    const published = keys.map(({ kty, crv, x, y, n, e, alg, use, kid }) => ({ kty, crv, x, y, n, e, alg, use, kid }));
    const { payload } = await jwtVerify(params.subject_token, createLocalJWKSet({ keys: published }), {
      issuer,
      audience: may.from,
      typ: 'at+jwt',
      algorithms: ['RS256', 'ES256', 'EdDSA'],
      requiredClaims: ['sub', 'exp', 'iat', 'jti'],
    });
    subject = payload.sub;
  } catch {
    throw new errors.InvalidGrant('the subject token is invalid');
  }
  if (!settings.users[subject]) throw new errors.InvalidGrant('the subject is gone');

  const info = resourceServer(target);
  const token = new ctx.oidc.provider.AccessToken({ accountId: subject, client, gty: 'token_exchange' });
  token.resourceServer = new ctx.oidc.provider.ResourceServer(target, info);
  const wanted = new Set((params.scope ?? '').split(' ').filter(Boolean));
  const scope = (info.scope ?? '').split(' ').filter((one) => wanted.has(one)).join(' ');
  token.scope = scope || undefined;
  ctx.oidc.entity('AccessToken', token);
  ctx.body = {
    access_token: await token.save(),
    issued_token_type: requested,
    token_type: token.tokenType,
    expires_in: token.expiration,
    scope: token.scope,
  };
}
