// The options of credentials: how calls to model servers authenticate.
import { z } from 'zod'
import { tokenUrlMistake } from './address.ts'
import { file, option, optionalFile, text } from './option.ts'
import { originPatternMistake } from './origin-pattern.ts'
import { address } from './schema-parts.ts'

// Why a session, or the password of a person, is refused: words in the name of a kind, with the reason.
const REFUSED_KINDS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    password:
      "a person's password would have to be stored, and Kubeflow's gateways accept no password from a program",
    basic: "Kubeflow's gateways reject Basic authentication",
    cookie: 'a session cookie needs a login form, and expires within a day',
    session: 'a session cookie needs a login form, and expires within a day',
    form: "a login form needs a person's password",
    login: "a login form needs a person's password",
  }),
)

const REMEDY = 'use token-file, oauth-client-credentials or oauth-token-exchange'

/** Returns the mistake in the name of a header that carries a secret, or undefined. */
function headerNameMistake(name: string): string | undefined {
  if (/^(?:set-)?cookie2?$/i.test(name)) {
    return `must not be "cookie": ${REFUSED_KINDS.get('cookie')}; ${REMEDY}`
  }
  return /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/.test(name) &&
    !/^(?:host|connection|expect|te|trailer|upgrade|transfer-encoding|content-.*|proxy-.*)$/i.test(name)
    ? undefined
    : 'the name of a header that may carry a secret, such as x-api-key (not host, cookie, content-…)'
}

/**
 * Returns the mistake in the value of a header that carries a secret, or undefined. It completes a sentence that begins
 * with the name of the file, and never contains the value.
 */
export function headerValueMistake(value: string): string | undefined {
  // RFC 9110 §11.1: the name of a scheme is case-insensitive.
  return /^basic(?:\s|$)/i.test(value.trim())
    ? `contains Basic credentials, which are not supported: ${REFUSED_KINDS.get('basic')}; ${REMEDY}`
    : undefined
}

// RFC 6749 §3.3: a scope has no quotation marks and no backslashes.
const scope = text(
  (value) => /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/.test(value) && value.length <= 1024,
  'scopes separated by single spaces, such as openid email',
)
const visibleText = text((value) => /^[\x20-\x7e]{1,1024}$/.test(value), 'printable ASCII text')
// RFC 8707 §2: an absolute URI without a fragment.
const resource = text(
  (value) => /^[A-Za-z][A-Za-z0-9+.-]*:[\x21-\x7e]{1,1024}$/.test(value) && !value.includes('#'),
  'an absolute URI without a fragment, such as https://models.example',
)
const tokenKind = z.enum(['access_token', 'id_token'], { error: 'access_token or id_token' })
const tokenType = z.enum(['access_token', 'id_token', 'jwt'], { error: 'access_token, id_token or jwt' })

// The options of both OAuth 2.0 kinds.
const oauth = {
  tokenUrl: option(address(tokenUrlMistake), {
    description: 'With `oauth-…`: URL of the token endpoint; `https`, or `http` inside the cluster.',
  }),
  clientId: option(visibleText, { description: 'With `oauth-…`: identifier of the client.' }),
  clientSecretFile: file(
    'With `oauth-…`: file with the secret of the client; read again for every token request.',
  ),
  clientAuthentication: option(z.enum(['basic', 'post'], { error: 'basic or post' }).default('basic'), {
    description:
      'With `oauth-…`: where the client secret is sent: `basic` = in the header, `post` = in the body.',
  }),
  scope: option(scope.optional(), { description: 'With `oauth-…`: scopes, separated by spaces.' }),
  audience: option(visibleText.optional(), { description: 'With `oauth-…`: parameter `audience`.' }),
  resource: option(resource.optional(), {
    description: 'With `oauth-…`: parameter `resource`, an absolute URI.',
  }),
  send: option(tokenKind.default('access_token'), {
    description: "With `oauth-…`: token of the issuer's answer that is sent to the model server.",
  }),
  caFile: optionalFile(
    'With `oauth-…`: PEM file with the certificate authorities of the token endpoint, which replace those of Node.js.',
  ),
}

const none = z.strictObject({ kind: z.literal('none') })
const tokenFile = z.strictObject({
  kind: z.literal('token-file'),
  tokenFile: file('With `token-file`: file with a bearer token, such as a JWT; read again when it changes.'),
})
const staticHeader = z.strictObject({
  kind: z.literal('static-header'),
  name: option(address(headerNameMistake), { description: 'With `static-header`: name of the header.' }),
  valueFile: file('With `static-header`: file with the value of the header; read again when it changes.'),
})
const clientCredentials = z.strictObject({ kind: z.literal('oauth-client-credentials'), ...oauth })
const tokenExchange = z.strictObject({
  kind: z.literal('oauth-token-exchange'),
  ...oauth,
  subjectTokenFile: file(
    'With `oauth-token-exchange`: file with the token to exchange; read again for every token request.',
  ),
  subjectTokenType: option(tokenType.default('id_token'), {
    description: 'With `oauth-token-exchange`: type of the token in `subjectTokenFile`.',
  }),
  requestedTokenType: option(tokenType.optional(), {
    description: 'With `oauth-token-exchange`: type of the token that is requested.',
    defaultText: 'the issuer decides',
  }),
  connectorId: option(visibleText.optional(), {
    description:
      'With `oauth-token-exchange`: parameter `connector_id`: the connector of Dex that checks the token.',
  }),
})
const mtls = z.strictObject({
  kind: z.literal('mtls'),
  certFile: file('With `mtls`: PEM file with the client certificate; read again when it changes.'),
  keyFile: file('With `mtls`: PEM file with the private key of the client certificate.'),
})

const origins = option(z.array(address(originPatternMistake)).min(1).max(256).optional(), {
  description: 'Origins that the credential may be sent to; required for discovered models.',
  defaultText: 'the origins of the models that name it',
})

function kindExpected(names: readonly string[]) {
  const list = `${names.slice(0, -1).join(', ')} or ${names.at(-1)}`
  return ({ code, input }: { readonly code?: string | undefined; readonly input?: unknown }): string => {
    if (code !== 'invalid_union') return `a map with kind: ${list}`
    const { kind } = input as { readonly kind?: unknown }
    const why = refusalOf(kind)
    return why === undefined ? list : `${list}; "${String(kind)}" is not supported, because ${why}`
  }
}

function refusalOf(kind: unknown): string | undefined {
  if (typeof kind !== 'string' || kind.length > 40) return undefined
  const words = kind.toLowerCase().split(/[^a-z]+/)
  return [...REFUSED_KINDS].find(([word]) => words.includes(word))?.[1]
}

const INLINE = [none, tokenFile, staticHeader, clientCredentials, tokenExchange, mtls] as const
const namesOf = (kinds: readonly { readonly shape: { readonly kind: z.ZodLiteral<string> } }[]): string[] =>
  kinds.map(({ shape }) => shape.kind.value)

const inline = z.discriminatedUnion('kind', [...INLINE], { error: kindExpected(namesOf(INLINE)) })
const credentialName = text(
  (value) => /^[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/.test(value),
  'the name of an entry in credentials, or a map with kind',
)

/** The option `models.*.credential`: the name of an entry in `credentials`, or a credential. */
export const credential = option(z.union([credentialName, inline]).default({ kind: 'none' }), {
  description: 'How calls authenticate to the model server: a name in `credentials`, or a map with its keys.',
  details:
    'A map has the same keys as an entry in `credentials`, except `origins`: its secret is sent only to the origin of `url`.',
  defaultText: '`{"kind":"none"}`',
})

const NAMED = [
  tokenFile.extend({ origins }),
  staticHeader.extend({ origins }),
  clientCredentials.extend({ origins }),
  tokenExchange.extend({ origins }),
  mtls.extend({ origins }),
] as const

/** The option `credentials`: credentials by name. */
export const credentials = option(
  z
    .record(
      credentialName,
      option(z.discriminatedUnion('kind', [...NAMED], { error: kindExpected(namesOf(NAMED)) }), {
        description: 'A credential with a name, which models refer to.',
        details:
          '`token-file` sends `Authorization: Bearer` with the content of `tokenFile`. `static-header` sends the header `name` with the content of `valueFile`. `oauth-client-credentials` and `oauth-token-exchange` obtain a token from `tokenUrl`, renew it before it expires, and send it as `Authorization: Bearer`. `mtls` presents a client certificate in the TLS handshake. An entry of `origins` is a scheme, a host and optionally a port, such as `https://gateway.example`. `*.` at the start of the host stands for one or more labels, and `:*` for any port.',
      }),
    )
    .default({}),
  { description: 'Credentials by name. Models that refer to the same name share its token.' },
)

/** A credential, with or without a name. */
export type CredentialConfig = z.output<typeof inline> | z.output<(typeof NAMED)[number]>
