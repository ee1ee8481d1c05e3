// The end of a streamed answer, for any transport: the last message, or the problem of a stream that broke.
import { Problem } from '@inferwire/protocol'
import type { EndpointResponse, TokenUsage } from '../step.ts'

const BODY = Buffer.from('[DONE]')

/** Returns the last message of a complete stream. */
export function endOfStream(status: number, usage?: TokenUsage): EndpointResponse {
  return {
    status,
    body: BODY,
    contentType: 'text/plain',
    inferenceHeaderContentLength: undefined,
    endsStream: true,
    ...(usage === undefined ? {} : { usage }),
  }
}

/**
 * The problem of a stream that broke after its first part. The call is not retried, because parts were already
 * published; the client may repeat the request.
 * @param cause its detail replaces `detail`
 */
export function streamInterrupted(sentence: string, detail: string, cause?: Problem): Problem {
  return new Problem('stream_interrupted', sentence, {
    detail: cause?.detail ?? detail,
    ...(cause === undefined ? {} : { cause }),
  })
}
