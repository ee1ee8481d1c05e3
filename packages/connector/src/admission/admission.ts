// Decides whether a request is admitted: checks the policy, the payload, the deadline and the client's limits.
import { passedHeaders } from '@inferwire/protocol'
import type { Delivery, ExposedModel, Routed } from '../step.ts'
import { AdmittedRequest } from './admitted-request.ts'
import { coalesceMsOf } from './coalesce.ts'
import type { Clients } from './clients.ts'
import { clientBudgetMs, RequestDeadline } from './deadline.ts'
import { judgePayload } from './payload.ts'
import type { Policy } from './policy.ts'
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
    this.#policy.check(client, model.name)
    const body = judgePayload(delivery, model, operation)
    const nowMs = performance.now()
    const clientBudget = clientBudgetMs(delivery.properties)
    const priority = this.#priorityOf(delivery, client, model)
    const headers = headersOf(delivery, model)
    const coalesceMs = operation.mayEmit ? coalesceMsOf(delivery.properties.userProperties) : undefined
    const deadline = new RequestDeadline(delivery.receivedAtMs, model.timeoutMs, nowMs, clientBudget)
    const request = new AdmittedRequest(delivery, routed, body, headers, deadline, priority, coalesceMs)
    try {
      // A QoS 0 message is never redelivered; if it has the DUP flag, the broker has forwarded the client's flag.
      this.#clients.enter(request, nowMs, delivery.dup && delivery.qos > 0)
    } catch (problem) {
      deadline.end()
      throw problem
    }
    return request
  }

  // A request that asks for a higher class than permitted gets the highest permitted class.
  #priorityOf({ properties }: Delivery, client: string, model: ExposedModel): number {
    const requested = requestedPriority(properties) ?? PRIORITY_DEFAULT
    return Math.min(requested, this.#policy.priorityMax(client, model.name))
  }

  /** Removes a request that has ended. */
  leave(request: AdmittedRequest): void {
    this.#clients.leave(request)
    request.deadline.end()
  }
}

function headersOf({ properties }: Delivery, { passHeaders }: ExposedModel): readonly string[] {
  return properties.userProperties === undefined
    ? NO_HEADERS
    : passedHeaders(properties.userProperties, passHeaders)
}
