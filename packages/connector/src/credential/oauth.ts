// The OAuth 2.0 credentials: client credentials (RFC 6749 §4.4) and token exchange (RFC 8693).
import { readTlsFiles, Secret, type CredentialConfig } from '../config/index.ts'
import type { CredentialSource, SourceParts } from './credential.ts'
import { tokenMistake } from './file-source.ts'
import { IssuerError } from './issuer-error.ts'
import { RenewedToken, type FetchedToken } from './renewed-token.ts'
import { SecretFile } from './secret-file.ts'
import { readTokenAnswer } from './token-answer.ts'
import { requestToken } from './token-request.ts'

type Exchange = Extract<CredentialConfig, { kind: 'oauth-token-exchange' }>
type OAuth = Extract<CredentialConfig, { kind: 'oauth-client-credentials' }> | Exchange

const GRANTS = {
  'oauth-client-credentials': 'client_credentials',
  'oauth-token-exchange': 'urn:ietf:params:oauth:grant-type:token-exchange',
} as const

/** Obtains a token with the identifier and the secret of a client. */
export function clientCredentials(
  config: Extract<CredentialConfig, { kind: 'oauth-client-credentials' }>,
  parts: SourceParts,
): CredentialSource {
  return renewed(config, parts, commonParameters(config), [])
}

/** Exchanges the token in a file, such as a ServiceAccount token, for a token of the issuer. */
export function tokenExchange(config: Exchange, parts: SourceParts): CredentialSource {
  const { requestedTokenType, connectorId } = config
  const parameters = {
    ...commonParameters(config),
    subject_token_type: typeUrn(config.subjectTokenType),
    ...(requestedTokenType === undefined ? {} : { requested_token_type: typeUrn(requestedTokenType) }),
    // Dex needs to know which of its connectors checks the token.
    ...(connectorId === undefined ? {} : { connector_id: connectorId }),
  }
  const subjectFile = quietFile(config.subjectTokenFile, tokenMistake, parts)
  return renewed(config, parts, parameters, [['subject_token', subjectFile]])
}

// RFC 8693 §3.
function typeUrn(type: Exchange['subjectTokenType']): string {
  return `urn:ietf:params:oauth:token-type:${type}`
}

function commonParameters({ scope, audience, resource }: OAuth): Record<string, string> {
  return {
    ...(scope === undefined ? {} : { scope }),
    ...(audience === undefined ? {} : { audience }),
    ...(resource === undefined ? {} : { resource }),
  }
}

function renewed(
  config: OAuth,
  parts: SourceParts,
  parameters: Readonly<Record<string, string>>,
  secretParameters: readonly (readonly [string, SecretFile])[],
): CredentialSource {
  const secretFile = quietFile(config.clientSecretFile, () => undefined, parts)
  const fetch = async (): Promise<FetchedToken> => {
    // The files are read for each token request, because they may have been replaced.
    const clientSecret = readNow(secretFile)
    const secrets = secretParameters.map(([name, file]) => [name, readNow(file)] as const)
    const answer = await requestToken({
      tokenUrl: config.tokenUrl,
      grant: GRANTS[config.kind],
      clientId: config.clientId,
      clientSecret,
      clientAuthentication: config.clientAuthentication,
      parameters,
      secretParameters: secrets,
      ca: authorities(config.caFile),
    })
    return readTokenAnswer(answer, {
      tokenUrl: config.tokenUrl,
      send: config.send,
      secrets: [clientSecret, ...secrets.map(([, secret]) => secret)],
    })
  }
  return new RenewedToken({ ...parts, fetch })
}

// `RenewedToken` reports a file that cannot be read, together with its other failures.
function quietFile(
  path: string,
  judge: (value: string) => string | undefined,
  parts: SourceParts,
): SecretFile {
  return new SecretFile(path, judge, { ...parts, news: { failed: () => {}, recovered: () => {} } })
}

function readNow(file: SecretFile): Secret {
  file.look()
  try {
    return file.read()
  } catch (error) {
    const { detail, message } = error as { readonly detail?: string; readonly message: string }
    throw new IssuerError(detail ?? message, true)
  }
}

function authorities(caFile: string | undefined): Buffer | undefined {
  if (caFile === undefined) return undefined
  try {
    return readTlsFiles({ caFile }).ca
  } catch (error) {
    throw new IssuerError(`The file "${caFile}" in caFile cannot be used: ${(error as Error).message}`, true)
  }
}
