// Creates the client of a configured model's server, with the model's TLS and credential.
import { protocolOf } from '@inferwire/protocol'
import type { CredentialConfig, ModelConfig } from './config/index.ts'
import { placeOf, type CredentialStore } from './credential/index.ts'
import { openUpstream } from './endpoint/index.ts'
import type { Upstream } from './step.ts'

/** What `openModelUpstream` needs in addition to the options of the model. */
export interface UpstreamParts {
  /** The definition of the model's credential. */
  readonly definition: CredentialConfig
  readonly credentials: CredentialStore
}

/** Creates a client for the server at `url`; it connects on the first call. @throws if a file cannot be read */
export function openModelUpstream(
  name: string,
  config: ModelConfig,
  { url, host }: Pick<ModelConfig, 'url' | 'host'>,
  { definition, credentials }: UpstreamParts,
): Upstream {
  const used = {
    model: name,
    url,
    name: typeof config.credential === 'string' ? config.credential : undefined,
    definition,
  }
  const tlsNews = credentials.newsOf(definition.kind === 'mtls' ? placeOf(used) : `models.${name}.tls`)
  return openUpstream({
    url,
    host,
    // A client certificate is part of the TLS connection.
    tls:
      definition.kind === 'mtls'
        ? { ...config.tls, certFile: definition.certFile, keyFile: definition.keyFile }
        : config.tls,
    tlsNews: { failed: (detail) => tlsNews.failed(detail, true), recovered: () => tlsNews.recovered() },
    credential: credentials.open(used),
    isRepeatable: config.repeatable,
    model: config.modelName ?? name,
    ...protocolOf(config.protocolVersion),
    versions: config.versions,
    // Twice the number of calls that the gates of the model and its versions admit, because cancelled calls may still
    // be waiting for a connection. Four more calls are allowed for the metadata queries.
    callsMax: (2 * config.limits.concurrency + 1) * (1 + config.versions.length) + 4,
    responseBytesMax: config.limits.responseBytesMax,
    stream: config.stream,
    errorText: config.errorText,
  })
}
