// All cases, in the order of the tests.
import type { ProtocolCase } from './case.ts'
import { CLIENT_CASES } from './rows/client.ts'
import { GATEWAY_CASES } from './rows/gateway.ts'
import { KSERVE_V1_CASES } from './rows/kserve-v1.ts'
import { KSERVE_V2_CASES } from './rows/kserve-v2.ts'
import { MLSERVER_CASES } from './rows/mlserver.ts'
import { TRITON_CASES } from './rows/triton.ts'

/** The cases by subject. */
export const GROUPS: Readonly<Record<string, readonly ProtocolCase[]>> = {
  'KServe V1': KSERVE_V1_CASES,
  'KServe V2': KSERVE_V2_CASES,
  Triton: TRITON_CASES,
  MLServer: MLSERVER_CASES,
  'a faulty server or gateway': GATEWAY_CASES,
  'a mistake of the client': CLIENT_CASES,
}

/** Every case of the suite. */
export const CASES: readonly ProtocolCase[] = Object.values(GROUPS).flat()
