// The kinds of credentials. A new kind needs one file, and one line here.
import type { CredentialConfig } from '../config/index.ts'
import type { Credential } from './credential.ts'
import { none } from './none.ts'
import { staticHeader } from './static-header.ts'
import { tokenFile } from './token-file.ts'

type Kinds = {
  [Kind in CredentialConfig['kind']]: (
    config: Extract<CredentialConfig, { kind: Kind }>,
    origin: string,
  ) => Credential
}

const KINDS: Kinds = {
  none: () => none,
  'token-file': ({ tokenFile: file }, origin) => tokenFile(file, origin),
  'static-header': ({ name, valueFile }, origin) => staticHeader(name, valueFile, origin),
}

/** Creates the credential of a model, bound to the origin of its server. */
export function createCredential(config: CredentialConfig, origin: string): Credential {
  const create = KINDS[config.kind] as (config: CredentialConfig, origin: string) => Credential
  return create(config, origin)
}
