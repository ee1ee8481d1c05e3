// An admitted request: a member of its client's list, and what goes to the model server.
import type { Delivery, EndpointRequest, ReplyPart, RequestContentType, Routed } from '../step.ts'
import { RunningRequest } from './clients.ts'
import type { RequestDeadline } from './deadline.ts'
import type { JudgedBody } from './payload.ts'

/** Made by `Admission.admit`. One object for both: it is made for every request. */
export class AdmittedRequest extends RunningRequest implements EndpointRequest {
  /** Replaced by an equal one where the request joins another. */
  body: Buffer
  readonly contentType: RequestContentType
  readonly inferenceHeaderContentLength: string | undefined
  readonly headers: readonly string[]
  /** Set by the pipeline where the operation may answer in parts. */
  emit: ((part: ReplyPart) => void) | undefined = undefined

  constructor(
    delivery: Delivery,
    routed: Routed,
    { contentType, inferenceHeaderContentLength }: JudgedBody,
    headers: readonly string[],
    deadline: RequestDeadline,
  ) {
    super(routed, routed.model.name, routed.operation.name, delivery.properties.correlationData, deadline)
    this.body = delivery.payload
    this.contentType = contentType
    this.inferenceHeaderContentLength = inferenceHeaderContentLength
    this.headers = headers
  }
}
