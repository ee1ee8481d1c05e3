// An admitted request: one object that is both the entry in its client's list and the request to the model server.
import type { Delivery, EndpointRequest, ModelPlace, ReplyPart, RequestContentType, Routed } from '../step.ts'
import { RunningRequest } from './clients.ts'
import type { RequestDeadline } from './deadline.ts'
import type { JudgedBody } from './payload.ts'

/** Created by `Admission.admit`. One object has both roles, because two objects per request would cost more. */
export class AdmittedRequest extends RunningRequest implements EndpointRequest {
  /** If this request joins a running request, the identical body of the running request replaces this body. */
  body: Buffer
  readonly contentType: RequestContentType
  readonly inferenceHeaderContentLength: string | undefined
  readonly headers: readonly string[]
  /** Set by the pipeline if the operation may stream its answer. */
  emit: ((part: ReplyPart) => void) | undefined = undefined
  /** Set by the pipeline if the request may have crashed the process. */
  mustRunAlone = false
  /** The class of the request, from 0 to 9. */
  readonly priority: number
  batchMs: number | undefined = undefined
  readonly coalesceMs: number | undefined
  readonly modelPlace: ModelPlace | undefined

  constructor(
    delivery: Delivery,
    routed: Routed,
    { contentType, inferenceHeaderContentLength, modelPlace }: JudgedBody,
    headers: readonly string[],
    deadline: RequestDeadline,
    priority: number,
    coalesceMs: number | undefined,
  ) {
    super(routed, routed.model.name, routed.operation.name, delivery.properties.correlationData, deadline)
    this.body = delivery.payload
    this.contentType = contentType
    this.inferenceHeaderContentLength = inferenceHeaderContentLength
    this.headers = headers
    this.priority = priority
    this.coalesceMs = coalesceMs
    this.modelPlace = modelPlace
  }
}
