// The values of the option `protocolVersion`: each names a dialect and a transport.
import { dialectNames, DIALECTS, type Dialect } from './index.ts'
import type { OperationName } from '../operation.ts'
import type { DialectKind } from './dialect-kind.ts'

/** The protocol over which bodies are sent to a model server. */
export type Transport = 'http' | 'grpc'

/** The gRPC method of an operation; undefined = the dialect does not have the operation over gRPC. */
export function grpcMethod(operation: OperationName, dialect: Dialect): string | undefined {
  const kind: DialectKind = DIALECTS[dialect]
  return kind.grpcMethods?.[operation]
}

type GrpcDialect = {
  [Name in Dialect]: (typeof DIALECTS)[Name] extends { grpcMethods: object } ? Name : never
}[Dialect]

/** A dialect over HTTP, or over gRPC. */
export type ProtocolVersion = Dialect | `grpc-${GrpcDialect}`

const GRPC = 'grpc-'

/** All protocol versions that exist, in alphabetical order. */
export function protocolVersions(): ProtocolVersion[] {
  const overGrpc = dialectNames().filter(hasGrpc)
  return [...dialectNames(), ...overGrpc.map((name) => `${GRPC}${name}` as const)].sort()
}

/** Returns the dialects and the transport of a model; without a protocol version, all dialects over HTTP. */
export function protocolOf(version: ProtocolVersion | undefined): {
  readonly dialects: readonly Dialect[]
  readonly transport: Transport
} {
  if (version === undefined) return { dialects: dialectNames(), transport: 'http' }
  return version.startsWith(GRPC)
    ? { dialects: [version.slice(GRPC.length) as Dialect], transport: 'grpc' }
    : { dialects: [version as Dialect], transport: 'http' }
}

function hasGrpc(name: Dialect): name is GrpcDialect {
  const kind: DialectKind = DIALECTS[name]
  return kind.grpcMethods !== undefined
}
