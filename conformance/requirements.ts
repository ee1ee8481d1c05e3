// All requirements, each with its proof: the MUSTs of the wire contract, the delivery promises, the security rules, and
// the requirements for installation in Kubernetes and for the packages. Contains only data, so that other packages may read it.
import { KUBERNETES } from './requirements/cluster.ts'
import { DELIVERY } from './requirements/delivery.ts'
import { PACKAGING } from './requirements/packaging.ts'
import { PROBLEM_CODES } from './requirements/problem-codes.ts'
import { SECURITY } from './requirements/security.ts'
import { WIRE_CONTRACT } from './requirements/wire-contract.ts'
import type { Requirement } from './requirements/requirement.ts'

export { denialMistakes, denialsOf } from './requirements/denials.ts'
export { LIMITS } from './requirements/limits.ts'
export type { Requirement } from './requirements/requirement.ts'

/** All requirements, in the order of the contract. */
export const REQUIREMENTS: readonly Requirement[] = [
  ...WIRE_CONTRACT,
  ...PROBLEM_CODES,
  ...DELIVERY,
  ...SECURITY,
  ...KUBERNETES,
  ...PACKAGING,
]
