// Opens the clients of model servers with the credentials that their models refer to.
import {
  credentialMistake,
  definitionOfCredential,
  type ConfigMistake,
  type ModelConfig,
  type NamedCredentials,
} from './config/index.ts'
import { CredentialStore } from './credential/index.ts'
import { openServer, type ModelServer } from './expose-model.ts'
import type { ModelTraits } from './step.ts'
import type { Log, Telemetry } from './telemetry/index.ts'

/** Who has set the options of a model. A tenant of the cluster may have chosen the URL of a discovered model. */
export type ModelOrigin = 'configured' | 'discovered'

/** Opens servers, and holds the named credentials, whose tokens the models share. */
export class ServerOpener {
  readonly #parts: { readonly log: Log; readonly telemetry: Telemetry }
  readonly #store: CredentialStore
  /** The definitions of the named credentials. */
  credentials: NamedCredentials = {}

  constructor(parts: { readonly log: Log; readonly telemetry: Telemetry }) {
    this.#parts = parts
    this.#store = new CredentialStore(parts.log)
  }

  /** Returns the options, the credential and the traits of a model as text, to detect changes. */
  fingerprintOf(config: ModelConfig, traits: ModelTraits | undefined): string {
    return JSON.stringify([config, definitionOfCredential(config, this.credentials), traits])
  }

  /** Creates the client of a model's server, or returns the mistake that prevents it. */
  open(
    name: string,
    config: ModelConfig,
    origin: ModelOrigin,
    traits: ModelTraits,
  ): ModelServer | ConfigMistake {
    // A credential must not be sent to any other origin, even if the caller has not checked that.
    const urls = [config.url, traits.explainer?.url].filter((url) => url !== undefined)
    const [message] = urls.flatMap(
      (url) => credentialMistake({ ...config, url }, this.credentials, origin === 'discovered') ?? [],
    )
    if (message !== undefined) {
      return { path: `models.${name}.credential`, source: 'configuration', message }
    }
    try {
      const definition = definitionOfCredential(config, this.credentials)!
      return openServer(name, config, traits, { ...this.#parts, definition, credentials: this.#store })
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error)
      return {
        path: `models.${name}`,
        source: 'configuration',
        message: `The client for its server "${config.url}" cannot be created: ${reason}. Check that the configured files exist and are readable.`,
      }
    }
  }

  /** Forgets the credentials that are not defined any more. */
  forgetUnused(): void {
    this.#store.keep(this.credentials)
  }
}
