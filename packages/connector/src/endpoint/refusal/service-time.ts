// Learns whether the field `x-envoy-upstream-service-time` shows which Envoy refused a call.
import type { RefusalName } from './refusals.ts'

// The first gateway sends these refusals, never a pod.
const OF_GATEWAY: ReadonlySet<RefusalName> = new Set([
  'login_required',
  'token_expired',
  'token_not_yet_valid',
  'token_issuer_unknown',
  'token_audience_wrong',
  'token_keys_unknown',
  'token_rejected',
])

/** What the answers of one server have shown about the field. */
export class ServiceTime {
  /** A successful answer came without the field, although it came from the model: a proxy removes the field. */
  #isRemoved = false
  /** The first gateway's own refusal had the field: the connector's sidecar adds it to every answer. */
  #isAlwaysAdded = false

  /** False if the field is known to have no meaning. */
  get isTelling(): boolean {
    return !this.#isRemoved && !this.#isAlwaysAdded
  }

  /** True if the model's own answers come without the field: there is no Envoy, or a proxy removes the field. */
  get isRemoved(): boolean {
    return this.#isRemoved
  }

  /** Notes a successful answer. */
  accepted(hasServiceTime: boolean): void {
    this.#isRemoved = !hasServiceTime
  }

  /** Notes a refusal. */
  refused(name: RefusalName, hasServiceTime: boolean): void {
    if (OF_GATEWAY.has(name)) this.#isAlwaysAdded = hasServiceTime
  }
}
