// All cases, in the order of the tests.
import type { ProtocolCase } from './case.ts'
import { CLIENT_CASES } from './rows/client.ts'
import { GATEWAY_CASES } from './rows/gateway.ts'
import { KSERVE_V1_CASES } from './rows/kserve-v1.ts'
import { KSERVE_V2_CASES } from './rows/kserve-v2.ts'
import { GRPC_CASES } from './rows/grpc.ts'
import { GRPC_GATEWAY_CASES, GRPC_MESSAGE_CASES } from './rows/grpc-gateway.ts'
import { MLSERVER_CASES } from './rows/mlserver.ts'
import { OPENAI_CASES } from './rows/openai.ts'
import { STREAM_GATEWAY_CASES } from './rows/stream-gateway.ts'
import { STREAM_CASES } from './rows/streams.ts'
import { TRITON_CASES } from './rows/triton.ts'

/** The cases by subject. */
export const GROUPS: Readonly<Record<string, readonly ProtocolCase[]>> = {
  'KServe V1': KSERVE_V1_CASES,
  'KServe V2': KSERVE_V2_CASES,
  Triton: TRITON_CASES,
  MLServer: MLSERVER_CASES,
  'OpenAI routes': OPENAI_CASES,
  'V2 streams': STREAM_CASES,
  'V2 over gRPC': GRPC_CASES,
  'a faulty stream': STREAM_GATEWAY_CASES,
  'a faulty server or gateway over gRPC': [...GRPC_GATEWAY_CASES, ...GRPC_MESSAGE_CASES],
  'a faulty server or gateway': GATEWAY_CASES,
  'a client mistake': CLIENT_CASES,
}

/** Every case of the suite. */
export const CASES: readonly ProtocolCase[] = Object.values(GROUPS).flat()
