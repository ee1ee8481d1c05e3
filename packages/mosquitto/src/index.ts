// The files that a Mosquitto broker reads: users and passwords, and who may use which topics.
export { aclText, contractRules, isAllowed } from './acl.ts'
export type { AclOptions, AclRule, ContractRules } from './acl.ts'
export { parsePasswordFile, verifyLogin } from './password-file.ts'
export type { PasswordFile, PasswordLine, UserLine } from './password-file.ts'
export {
  hashPassword,
  ITERATIONS_ADVISED_MAX,
  ITERATIONS_DEFAULT,
  ITERATIONS_MAX,
  looksHashed,
  parsePasswordHash,
  passwordMistake,
  verifyPassword,
} from './password-hash.ts'
export type { HashAlgorithm, HashDefect, HashOptions, PasswordHash } from './password-hash.ts'
export { isPlainUserName, userNameMistake } from './user-name.ts'
