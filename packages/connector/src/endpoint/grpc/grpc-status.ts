// The status that ends a gRPC call: a code and a text, in the trailers of the response.
import type { IncomingHttpHeaders } from 'node:http2'

/** The status codes of gRPC. */
export const STATUS = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const

/** The end of a call. */
export interface GrpcStatus {
  readonly code: number
  readonly details: string
  /** Whether the answer has Envoy's upstream service time: such an answer came from behind the first proxy. */
  readonly hasServiceTime: boolean
  /** The fields with which gateways refuse a call. */
  readonly location: string | undefined
  readonly wwwAuthenticate: string | undefined
  readonly isOverloaded: boolean
}

const NAMES = new Map<number, string>(Object.entries(STATUS).map(([name, code]) => [code, name]))

/** Returns the name of a status code, or the number of an unknown one. */
export function statusName(code: number): string {
  return NAMES.get(code) ?? `status ${code}`
}

/** Reads the status from headers or trailers; undefined if they have none. */
export function readStatus(headers: IncomingHttpHeaders): GrpcStatus | undefined {
  const code = headers['grpc-status']
  if (typeof code !== 'string' || !/^\d{1,4}$/.test(code)) return undefined
  const text = headers['grpc-message']
  return {
    code: Number(code),
    details: typeof text === 'string' ? decoded(text) : '',
    hasServiceTime: hasServiceTime(headers),
    location: headers.location,
    wwwAuthenticate: headers['www-authenticate'],
    isOverloaded: headers['x-envoy-overloaded'] !== undefined,
  }
}

/** Returns whether headers or trailers have Envoy's upstream service time. */
export function hasServiceTime(headers: IncomingHttpHeaders): boolean {
  return headers['x-envoy-upstream-service-time'] !== undefined
}

// The text is percent-encoded UTF-8; a decoder must tolerate invalid encodings.
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
