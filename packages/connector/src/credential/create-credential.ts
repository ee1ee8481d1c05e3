// The kinds of credentials. A new kind needs one file, and one line here.
import type { CredentialConfig } from '../config/index.ts'
import type { CredentialSource, SourceParts } from './credential.ts'
import { staticHeader, tokenFile } from './file-source.ts'
import { clientCredentials, tokenExchange } from './oauth.ts'

type Kinds = {
  [Kind in CredentialConfig['kind']]: (
    config: Extract<CredentialConfig, { kind: Kind }>,
    parts: SourceParts,
  ) => CredentialSource
}

const NO_HEADERS: readonly string[] = []
// Inside a mesh, the sidecar's certificate is the identity. With `mtls`, the identity is the client certificate of the
// TLS connection, which the transport presents.
const withoutHeaders = (): CredentialSource => ({ headers: () => NO_HEADERS })

const KINDS: Kinds = {
  none: withoutHeaders,
  'token-file': (config, parts) => tokenFile(config.tokenFile, parts),
  'static-header': ({ name, valueFile }, parts) => staticHeader(name, valueFile, parts),
  'oauth-client-credentials': clientCredentials,
  'oauth-token-exchange': tokenExchange,
  mtls: withoutHeaders,
}

/** Creates the source of a credential. It reads no file, and connects to no issuer, before the first call. */
export function createSource(config: CredentialConfig, parts: SourceParts): CredentialSource {
  const create = KINDS[config.kind] as (config: CredentialConfig, parts: SourceParts) => CredentialSource
  return create(config, parts)
}
