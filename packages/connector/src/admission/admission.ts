// Decides whether a request is admitted: checks the policy, the payload, the deadline and the client's limits.
import { passedHeaders } from '@inferwire/protocol'
import type { BoundOperation, Delivery, ExposedModel, Routed } from '../step.ts'
import { AdmittedRequest } from './admitted-request.ts'
import { coalesceMsOf } from './coalesce.ts'
import type { Clients } from './clients.ts'
import { clientBudgetMs, RequestDeadline } from './deadline.ts'
import { judgePayload } from './payload.ts'
import type { Grant, Policy } from './policy.ts'
import { PRIORITY_DEFAULT, requestedPriority } from './priority.ts'

const NO_HEADERS: readonly string[] = []

/**
 * Checks requests before they run. Waiting for a turn at the model is a separate step, because a repeated request
 * that joins a running call needs no turn.
 */
export class Admission {
  readonly #policy: Policy
  readonly #clients: Clients

  constructor(policy: Policy, clients: Clients) {
    this.#policy = policy
    this.#clients = clients
  }

  /**
   * Admits a request; `leave` must then be called exactly once.
   * @throws Problem `forbidden_model`, `overloaded`, and those of `judgePayload`, `clientBudgetMs`, `coalesceMsOf` and
   * `requestedPriority`.
   */
  admit(delivery: Delivery, routed: Routed): AdmittedRequest {
    const { client, model, operation } = routed
    const grant = this.#policy.grant(client, model.name, operation.name)
    const body = judgePayload(delivery, model, operation, grant.requestBytesMax)
    const nowMs = performance.now()
    const clientBudget = clientBudgetMs(delivery.properties)
    const priority = priorityOf(delivery, grant)
    const headers = headersOf(delivery, model)
    const coalesceMs = operation.mayEmit ? coalesceMsOf(delivery.properties.userProperties) : undefined
    const deadline = new RequestDeadline(delivery.receivedAtMs, model.timeoutMs, nowMs, clientBudget)
    const request = new AdmittedRequest(delivery, routed, body, headers, deadline, priority, coalesceMs)
    try {
      // A QoS 0 message is never redelivered; if it has the DUP flag, the broker has forwarded the client's flag.
      const isRedelivered = delivery.dup && delivery.qos > 0
      // A redelivered request was counted before, like in `Clients.enter`.
      if (!isRedelivered) this.#policy.spend(grant, client, sizeOf(delivery, operation), nowMs)
      this.#clients.enter(request, nowMs, isRedelivered)
    } catch (problem) {
      deadline.end()
      throw problem
    }
    return request
  }

  /** Removes a request that has ended. */
  leave(request: AdmittedRequest): void {
    this.#clients.leave(request)
    request.deadline.end()
  }
}

// A request that asks for a higher class than permitted gets the highest permitted class.
function priorityOf({ properties }: Delivery, { priorityMax }: Grant): number {
  return Math.min(requestedPriority(properties) ?? PRIORITY_DEFAULT, priorityMax)
}

// The body of an operation without a body is not read, so its size does not count.
function sizeOf({ payloadBytes }: Delivery, { hasBody }: BoundOperation): number {
  return hasBody ? payloadBytes : 0
}

function headersOf({ properties }: Delivery, { passHeaders }: ExposedModel): readonly string[] {
  return properties.userProperties === undefined
    ? NO_HEADERS
    : passedHeaders(properties.userProperties, passHeaders)
}
