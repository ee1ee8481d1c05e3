// The faults that the doctor must find: how each is planted, which check must report it, and with which remedy.
import { ACCESS_FAULTS } from './access-faults.ts'
import { BROKER_FAULTS } from './broker-faults.ts'
import type { PlantedFault } from './planted-fault.ts'
import { SERVICE_FAULTS } from './service-faults.ts'

/** All planted faults. */
export const PLANTED_FAULTS: readonly PlantedFault[] = [...BROKER_FAULTS, ...ACCESS_FAULTS, ...SERVICE_FAULTS]
