// All cases, in the order of the tests.
import type { ProtocolCase } from './case.ts'
import { CLIENT_CASES } from './rows/client.ts'
import { GATEWAY_CASES } from './rows/gateway.ts'
import { KSERVE_CASES } from './rows/kserve.ts'
import { MLSERVER_CASES } from './rows/mlserver.ts'
import { TRITON_CASES } from './rows/triton.ts'

/** The cases by subject. */
export const GROUPS: Readonly<Record<string, readonly ProtocolCase[]>> = {
  KServe: KSERVE_CASES,
  Triton: TRITON_CASES,
  MLServer: MLSERVER_CASES,
  'a faulty server or gateway': GATEWAY_CASES,
  'a mistake of the client': CLIENT_CASES,
}

/** Every case of the suite. */
export const CASES: readonly ProtocolCase[] = Object.values(GROUPS).flat()
