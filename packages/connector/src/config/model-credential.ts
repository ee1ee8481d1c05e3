// Finds the credential that a model refers to, and checks that the model may use it.
import { nearestName } from '@inferwire/protocol'
import { originOf, withTls } from './address.ts'
import type { CredentialConfig } from './credential-schema.ts'
import { matchesOrigin } from './origin-pattern.ts'
import type { ModelConfig, NamedCredentials } from './schema.ts'
import { shownValue } from './shown.ts'

type UsingModel = Pick<ModelConfig, 'url' | 'credential' | 'tls'>

/** Returns the definition of a model's credential; undefined if the model refers to a name that does not exist. */
export function definitionOfCredential(
  { credential }: Pick<ModelConfig, 'credential'>,
  credentials: NamedCredentials,
): CredentialConfig | undefined {
  if (typeof credential !== 'string') return credential
  return Object.hasOwn(credentials, credential) ? credentials[credential] : undefined
}

/**
 * Returns why a model may not use its credential, and what to do; undefined if it may. The text completes a sentence
 * that begins with the path `models.*.credential`.
 * @param isDiscovered whether a tenant of the cluster may have chosen the model's URL: the credential must then have
 * `origins`, so that a tenant cannot send the operator's secret to a server of its own
 */
export function credentialMistake(
  model: UsingModel,
  credentials: NamedCredentials,
  isDiscovered = false,
): string | undefined {
  const { credential } = model
  const definition = definitionOfCredential(model, credentials)
  if (typeof credential === 'string') {
    const mistake =
      definition === undefined
        ? unknownName(credential, Object.keys(credentials))
        : originMistake(credential, definition, model.url, isDiscovered)
    if (mistake !== undefined) return mistake
  }
  if (definition?.kind !== 'mtls') return undefined
  const secureUrl = withTls(model.url)
  if (secureUrl !== undefined) {
    return `is a client certificate, but the URL does not use TLS; expected the url "${secureUrl}"`
  }
  return model.tls.certFile === undefined
    ? undefined
    : 'is a client certificate, but tls.certFile names one too; remove one of the two'
}

function originMistake(
  name: string,
  definition: CredentialConfig,
  url: string,
  isDiscovered: boolean,
): string | undefined {
  const origins = originsOf(definition)
  if (origins === undefined && isDiscovered) return withoutOrigins(name)
  if (origins === undefined || origins.some((pattern) => matchesOrigin(pattern, url))) return undefined
  const shown = shownValue([], name)
  return `${shown} may not be sent to "${originOf(url)}"; add the origin to credentials.${name}.origins, or use another credential`
}

/** Returns why discovered models may not use a credential, whatever their addresses are; undefined if they may. */
export function discoveredCredentialMistake(name: string, credentials: NamedCredentials): string | undefined {
  const definition = definitionOfCredential({ credential: name }, credentials)
  if (definition === undefined) return unknownName(name, Object.keys(credentials))
  return originsOf(definition) === undefined ? withoutOrigins(name) : undefined
}

function originsOf(definition: CredentialConfig): readonly string[] | undefined {
  return 'origins' in definition ? definition.origins : undefined
}

function withoutOrigins(name: string): string {
  return `${shownValue([], name)} cannot be used by discovered models, because it has no origins; list the origins that it may be sent to in credentials.${name}.origins`
}

function unknownName(name: string, names: readonly string[]): string {
  const nearest = nearestName(name, names)
  const hint =
    nearest !== undefined
      ? `did you mean "${nearest}"?`
      : names.length === 0
        ? 'there are no credentials; add an entry to credentials'
        : `valid are: ${names.slice(0, 10).join(', ')}`
  return `${shownValue([], name)} is not the name of an entry in credentials; ${hint}`
}
