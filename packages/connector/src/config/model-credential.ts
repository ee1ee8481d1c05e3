// Finds the credential that a model refers to, and checks that the model may use it.
import { nearestName } from '@inferwire/protocol'
import { originOf, withTls } from './address.ts'
import type { CredentialConfig, NamedCredential } from './credential-schema.ts'
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
 */
export function credentialMistake(model: UsingModel, credentials: NamedCredentials): string | undefined {
  const definition = definitionOfCredential(model, credentials)
  if (definition === undefined) return unknownName(String(model.credential), Object.keys(credentials))
  if (typeof model.credential === 'string') {
    const mistake = originMistake(model.credential, definition, model.url)
    if (mistake !== undefined) return mistake
  }
  if (definition.kind !== 'mtls') return undefined
  const secureUrl = withTls(model.url)
  if (secureUrl !== undefined) {
    return `is a client certificate, but the URL does not use TLS; expected the url "${secureUrl}"`
  }
  return model.tls.certFile === undefined
    ? undefined
    : 'is a client certificate, but tls.certFile names one too; remove one of the two'
}

/** Returns whether a discovered model may use the credential: it must be bound to origins. */
export function mayBeDiscovered(credential: NamedCredential): boolean {
  return credential.origins !== undefined
}

function originMistake(name: string, definition: CredentialConfig, url: string): string | undefined {
  const origins = 'origins' in definition ? definition.origins : undefined
  if (origins === undefined || origins.some((pattern) => matchesOrigin(pattern, url))) return undefined
  const shown = shownValue([], name)
  return `${shown} may not be sent to "${originOf(url)}"; add the origin to credentials.${name}.origins, or use another credential`
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
