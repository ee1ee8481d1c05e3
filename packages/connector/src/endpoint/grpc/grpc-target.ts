// The data that all operations of one model on one gRPC server share, and calls with its credential.
import { status as codes, type StatusObject } from '@grpc/grpc-js'
import { Problem } from '@inferwire/protocol'
import type { Deadline } from '../../step.ts'
import type { ErrorText } from '../error-text.ts'
import type { CallCredential } from '../upstream-options.ts'
import { callGrpc } from './grpc-call.ts'
import type { GrpcConnection } from './grpc-connection.ts'
import type { Codec } from './inference-proto.ts'
import { judgeStatus } from './judge-status.ts'

/** One model server. */
export interface GrpcTarget {
  readonly connection: GrpcConnection
  /** Scheme, host and port. */
  readonly origin: string
  readonly credential: CallCredential
  readonly responseBytesMax: number
  /** How much of the server's error text is sent to clients. */
  readonly errorText: ErrorText
}

/** One call. */
export interface TargetCall {
  readonly method: string
  readonly message: Buffer | undefined
  readonly deadline: Deadline
  /** Additional headers: a flat name/value list. */
  readonly headers: readonly string[]
  readonly isReadiness?: boolean
  readonly sendsTimeout?: boolean
  /** Receives each message. @throws to end the call with an error */
  readonly onMessage: (message: Buffer) => void
}

/** Returns method and URL, for the operator's log. */
export function addressOf(target: GrpcTarget, method: string): string {
  return `${method} ${target.origin}`
}

/** Makes a call; resolves after the status OK. @throws Problem for any other status */
export async function callTarget(target: GrpcTarget, call: TargetCall): Promise<void> {
  let hasMessage = false
  const onMessage = (message: Buffer): void => {
    hasMessage = true
    call.onMessage(message)
  }
  let status = await callOnce(target, call, onMessage)
  const isRefused = status.code === codes.UNAUTHENTICATED || status.code === codes.PERMISSION_DENIED
  // The token may have been rotated. A call that has had a message is not repeated.
  if (isRefused && !hasMessage && (await target.credential.refresh?.()) === true) {
    status = await callOnce(target, call, onMessage)
  }
  if (status.code === codes.OK) return
  throw judgeStatus(status, {
    address: addressOf(target, call.method),
    isReadiness: call.isReadiness ?? false,
    errorText: target.errorText,
    responseBytesMax: target.responseBytesMax,
    hasMessage,
  })
}

/** Makes a call with a single response. @throws Problem, also if the response is missing or malformed */
export async function callForOne<Message>(
  target: GrpcTarget,
  call: Omit<TargetCall, 'onMessage'>,
  codec: Codec<Message>,
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
  return new Problem('upstream_invalid_response', "The model server's response is malformed.", {
    detail: `${addressOf(target, method)}: ${why}`,
  })
}

async function callOnce(
  target: GrpcTarget,
  call: TargetCall,
  onMessage: (message: Buffer) => void,
): Promise<StatusObject> {
  const given = target.credential.headers(target.origin)
  // Most credentials are synchronous.
  const proof = Array.isArray(given) ? (given as readonly string[]) : await given
  return callGrpc(target.connection, {
    method: call.method,
    message: call.message,
    deadline: call.deadline,
    headers: proof.length === 0 ? call.headers : [...proof, ...call.headers],
    sendsTimeout: call.sendsTimeout ?? true,
    address: addressOf(target, call.method),
    onMessage,
  })
}
