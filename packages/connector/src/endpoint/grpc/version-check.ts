// Refuses requests for a version on a server that ignores versions: its only version would answer all of them.
import { DIALECTS, Problem } from '@inferwire/protocol'
import type { Endpoint, EndpointRequest } from '../../step.ts'
import { UpstreamFailure } from '../upstream-failure.ts'
import { addressOf, type GrpcTarget } from './grpc-target.ts'
import { askMetadata, type StateRequest } from './model-state.ts'

/**
 * A version that no server has: Triton's versions are numbers, and for other servers, no operator chooses such a name.
 */
export const ABSENT_VERSION = 'inferwire-no-such-version'

// The status of a server that does not have a method. Over HTTP, KServe's server also rejects versions with it.
const NOT_IMPLEMENTED = 501
// The codes of problems that end the request.
const FINAL: ReadonlySet<string> = new Set(['deadline_exceeded', 'cancelled', 'internal'])

// Whether the server ignores versions. `unknown` = its answers do not show it; versions are then called.
type Finding = 'ignores' | 'distinguishes' | 'unknown'

/** Finds out whether a server ignores the versions of a model, as KServe's own server does. */
export class VersionCheck {
  readonly #target: GrpcTarget
  readonly #name: string
  #finding: Finding | undefined
  /** Increases with each reset, so that an answer of the server before a reset is not used for the server after it. */
  #epoch = 0

  constructor(target: GrpcTarget, name: string) {
    this.#target = target
    this.#name = name
  }

  /** Forgets the result, because the server may have been replaced. */
  reset(): void {
    this.#finding = undefined
    this.#epoch += 1
  }

  /**
   * Returns an endpoint that checks the server before it calls `endpoint`, which calls `version`. The endpoint throws
   * `upstream_error` with the status 501 if the server ignores versions.
   */
  guard(endpoint: Endpoint, version: string): Endpoint {
    return {
      call: async (request: EndpointRequest) => {
        if ((this.#finding ?? (await this.#find(request))) === 'ignores') throw this.#ignored(version)
        return endpoint.call(request)
      },
    }
  }

  async #find(request: StateRequest): Promise<Finding | undefined> {
    const epoch = this.#epoch
    const finding = await this.#ask(request)
    if (epoch === this.#epoch) this.#finding = finding
    return finding
  }

  // A server that does not have the model rejects every version. A rejection therefore proves something only if
  // the server describes the model when the request contains no version.
  async #ask(request: StateRequest): Promise<Finding | undefined> {
    const hasAbsent = await this.#describes(ABSENT_VERSION, request)
    if (hasAbsent !== false) return hasAbsent === true ? 'ignores' : 'unknown'
    return (await this.#describes('', request)) === true ? 'distinguishes' : undefined
  }

  // Returns undefined for a server that describes no models. A query without an answer fails, as the request would.
  async #describes(version: string, { deadline, headers }: StateRequest): Promise<boolean | undefined> {
    try {
      await askMetadata(this.#target, { name: this.#name, version }, { deadline, headers })
      return true
    } catch (error) {
      const { code, status } = Problem.from(error)
      if (code === 'model_not_ready') return false
      if (error instanceof UpstreamFailure || FINAL.has(code)) throw error
      return code === 'upstream_error' && status !== NOT_IMPLEMENTED ? false : undefined
    }
  }

  #ignored(version: string): Problem {
    return new Problem(
      'upstream_error',
      `The model server ignores versions over gRPC, so that another version would answer for version "${version}". Use the model without a version.`,
      {
        status: NOT_IMPLEMENTED,
        detail: `${addressOf(this.#target, DIALECTS.v2.grpcMethods.metadata)}: the server describes a version that does not exist. Remove models.*.versions.`,
      },
    )
  }
}
