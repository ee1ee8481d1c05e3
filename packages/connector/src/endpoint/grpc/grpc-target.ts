// The data that all operations of a model on a gRPC server share, and functions that call the server with the model's
// credential.
import { Problem } from '@inferwire/protocol'
import type { Deadline } from '../../step.ts'
import type { ErrorText } from '../error-text.ts'
import { isRefusedBeforeRun } from '../refusal/refusal-problem.ts'
import type { ServiceTime } from '../refusal/service-time.ts'
import type { StreamLimits } from '../stream-clock.ts'
import type { CallCredential } from '../upstream-options.ts'
import { invalidFrames } from './call-problems.ts'
import { callGrpc } from './grpc-call.ts'
import type { GrpcConnection } from './grpc-connection.ts'
import { STATUS } from './grpc-status.ts'
import type { Codec } from './inference-proto.ts'
import { judgeStatus } from './judge-status.ts'
import type { Frame } from './write-frame.ts'

/** One model server. */
export interface GrpcTarget {
  readonly connection: GrpcConnection
  /** Scheme, host and port. */
  readonly origin: string
  readonly credential: CallCredential
  /** Whether it is safe to run the model twice for one request. */
  readonly isRepeatable: boolean
  readonly responseBytesMax: number
  /** How much of the server's error text is sent to clients. */
  readonly errorText: ErrorText
  /** The `:authority` to send, if it differs from the origin's. */
  readonly host: string | undefined
  /** What the server's answers have shown about Envoys in front of it. */
  readonly serviceTime: ServiceTime
  /** Limits of streamed answers. */
  readonly stream: StreamLimits
}

/** One call. */
export interface TargetCall {
  readonly method: string
  /** Undefined = the request has no message. */
  readonly frame: Frame | undefined
  readonly deadline: Deadline
  /** Additional headers: a flat name/value list. */
  readonly headers: readonly string[]
  /** @default false */
  readonly isReadiness?: boolean
  /** Whether the call runs the model. @default false */
  readonly runsModel?: boolean
  /** @default true */
  readonly sendsTimeout?: boolean
  /** Receives each message. @throws to end the call with an error */
  readonly onMessage: (message: Buffer) => void
  /** Called before the promise resolves if no connection is still sending the request. */
  readonly onSent?: () => void
}

/** Returns method and URL, for the operator's log. */
export function addressOf(target: GrpcTarget, method: string): string {
  return `${method} ${target.origin}`
}

/** Makes a call; resolves if its status is OK. @throws Problem for any other status */
export function callTarget(target: GrpcTarget, call: TargetCall): Promise<void> {
  return target.credential.refresh === undefined ? callOnce(target, call) : callTwice(target, call)
}

// Renews the token after a rejection, because the token may have been rotated. Calls once more only if the token
// has changed, the server has sent no message, and a repetition is safe. A message means that the server accepted the
// token.
async function callTwice(target: GrpcTarget, call: TargetCall): Promise<void> {
  const { credential, origin } = target
  let hasMessages = false
  const onMessage = (message: Buffer): void => {
    hasMessages = true
    call.onMessage(message)
  }
  const used = await credential.headers(origin, call.deadline)
  try {
    await send(target, { ...call, onMessage }, used)
  } catch (error) {
    const isRefused = error instanceof Problem && isUnauthorized(error) && !hasMessages
    if (!isRefused || !(await credential.refresh!(used, call.deadline))) throw error
    const isSafe = target.isRepeatable || call.runsModel !== true || isRefusedBeforeRun(error)
    if (!isSafe) throw error
    // The first call may still be sending the request.
    await callOnce(target, { ...call, onSent: () => {} })
  }
}

// A model server behind Envoy may check the token itself.
function isUnauthorized({ code, status }: Problem): boolean {
  return code === 'unauthorized_upstream' || status === 401 || status === 403
}

async function callOnce(target: GrpcTarget, call: TargetCall): Promise<void> {
  const given = target.credential.headers(target.origin, call.deadline)
  // Most credentials are synchronous.
  await send(target, call, Array.isArray(given) ? (given as readonly string[]) : await given)
}

async function send(target: GrpcTarget, call: TargetCall, proof: readonly string[]): Promise<void> {
  const { method, isReadiness = false, sendsTimeout = true, frame, deadline, onMessage, onSent } = call
  const address = addressOf(target, method)
  const status = await callGrpc(target.connection, {
    method,
    frame,
    deadline,
    headers: proof.length === 0 ? call.headers : [...proof, ...call.headers],
    responseBytesMax: target.responseBytesMax,
    sendsTimeout,
    address,
    onMessage,
    onSent,
  })
  const { errorText, host, serviceTime } = target
  if (status.code !== STATUS.OK)
    throw judgeStatus(status, { address, isReadiness, errorText, host, serviceTime })
  serviceTime.accepted(status.hasServiceTime)
}

/** Makes a call with a single response. @throws Problem, even for a missing or malformed response */
export async function callForOne<Message>(
  target: GrpcTarget,
  call: Omit<TargetCall, 'onMessage'>,
  codec: Pick<Codec<Message>, 'decode'>,
): Promise<Message> {
  let encoded: Buffer | undefined
  await callTarget(target, {
    ...call,
    onMessage: (message) => {
      if (encoded !== undefined) throw invalidResponse(target, call.method, 'several messages')
      encoded = message
    },
  })
  if (encoded === undefined) throw invalidResponse(target, call.method, 'no message')
  return decoded(target, call.method, codec, encoded)
}

/** Decodes a message. @throws Problem `upstream_invalid_response` */
export function decoded<Message>(
  target: GrpcTarget,
  method: string,
  codec: Pick<Codec<Message>, 'decode'>,
  message: Buffer,
): Message {
  try {
    return codec.decode(message)
  } catch (error) {
    throw invalidResponse(target, method, `${message.length} bytes: ${(error as Error).message}`)
  }
}

/** The problem of a malformed response; `why` is for the operator's log. */
export function invalidResponse(target: GrpcTarget, method: string, why: string): Problem {
  return invalidFrames(addressOf(target, method), why)
}
