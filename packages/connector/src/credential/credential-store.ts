// Holds the credentials with a name, so that all models that refer to a name share one token.
import { originOf, type CredentialConfig } from '../config/index.ts'
import type { Log } from '../telemetry/index.ts'
import { bindCredential } from './bind-credential.ts'
import { createSource } from './create-credential.ts'
import type { Credential, CredentialNews, CredentialSource } from './credential.ts'

/** The credential of a model, as its configuration defines it. */
export interface UsedCredential {
  readonly model: string
  /** The URL of the model server: the credential is bound to its origin. */
  readonly url: string
  /** The name in `credentials`; undefined for a credential in the model's own options. */
  readonly name: string | undefined
  readonly definition: CredentialConfig
}

/** Creates credentials, and remembers those with a name. */
export class CredentialStore {
  readonly #log: Log
  readonly #named = new Map<string, { readonly fingerprint: string; readonly source: CredentialSource }>()

  constructor(log: Log) {
    this.#log = log
  }

  /** Returns the credential of a model, bound to the origin of the model's server. */
  open(used: UsedCredential): Credential {
    return bindCredential(this.#sourceOf(used), originOf(used.url))
  }

  /** Forgets all names that are not in the configuration any more; their tokens are not renewed again. */
  keep(names: Readonly<Record<string, unknown>>): void {
    for (const name of this.#named.keys()) if (!Object.hasOwn(names, name)) this.#named.delete(name)
  }

  #sourceOf({ model, name, definition }: UsedCredential): CredentialSource {
    if (name === undefined) {
      return createSource(definition, this.#partsOf(`models.${model}.credential`))
    }
    const fingerprint = JSON.stringify(definition)
    const known = this.#named.get(name)
    if (known?.fingerprint === fingerprint) return known.source
    const source = createSource(definition, this.#partsOf(`credentials.${name}`))
    this.#named.set(name, { fingerprint, source })
    return source
  }

  #partsOf(place: string): { place: string; news: CredentialNews } {
    const log = this.#log
    const news: CredentialNews = {
      failed(detail, hasValidSecret) {
        const effect = hasValidSecret
          ? 'the last valid secret stays in use.'
          : 'calls that need it fail until it is available.'
        log.warn(
          { event: 'credential_failed', credential: place, detail },
          `The secret of "${place}" cannot be renewed; ${effect}`,
        )
      },
      recovered() {
        log.info(
          { event: 'credential_recovered', credential: place },
          `The secret of "${place}" was renewed.`,
        )
      },
    }
    return { place, news }
  }
}
