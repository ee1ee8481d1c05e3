// An admitted request: one object that is both the entry in its client's list and the request to the model server.
import type { Delivery, EndpointRequest, ModelPlace, ReplyPart, RequestContentType, Routed } from '../step.ts'
import { RunningRequest } from './clients.ts'
import type { RequestDeadline } from './deadline.ts'
import type { JudgedBody } from './payload.ts'

/** Created by `Admission.admit`. A single object, because two for every request would cost more. */
export class AdmittedRequest extends RunningRequest implements EndpointRequest {
  /** Replaced by an equal buffer if the request joins a running request. */
  body: Buffer
  readonly contentType: RequestContentType
  readonly inferenceHeaderContentLength: string | undefined
  readonly headers: readonly string[]
  /** Set by the pipeline if the operation may stream its answer. */
  emit: ((part: ReplyPart) => void) | undefined = undefined
  readonly coalesceMs: number | undefined
  readonly modelPlace: ModelPlace | undefined

  constructor(
    delivery: Delivery,
    routed: Routed,
    { contentType, inferenceHeaderContentLength, modelPlace }: JudgedBody,
    headers: readonly string[],
    deadline: RequestDeadline,
    coalesceMs: number | undefined,
  ) {
    super(routed, routed.model.name, routed.operation.name, delivery.properties.correlationData, deadline)
    this.body = delivery.payload
    this.contentType = contentType
    this.inferenceHeaderContentLength = inferenceHeaderContentLength
    this.headers = headers
    this.coalesceMs = coalesceMs
    this.modelPlace = modelPlace
  }
}
