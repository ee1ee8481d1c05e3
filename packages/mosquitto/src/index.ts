// Generates, checks and edits the files that a Mosquitto broker reads: password file and access rules.
export { aclText, contractRules, isAllowed } from './acl.ts'
export type { AclOptions, AclRule, ContractRules } from './acl.ts'
export { deleteUser, hashPlainText, setUser, unhashableLines } from './edit-password-file.ts'
export type { HashedFile, UnhashableLine } from './edit-password-file.ts'
export { fileManifest } from './file-manifest.ts'
export type { FileManifestOptions } from './file-manifest.ts'
export { isRefused, lintPasswordFile, lintPermissions } from './lint-password-file.ts'
export type { LintFinding } from './lint-password-file.ts'
export { parsePasswordFile, verifyLogin } from './password-file.ts'
export type { PasswordFile, PasswordLine, UserLine } from './password-file.ts'
export {
  hashPassword,
  ITERATIONS_ADVISED_MAX,
  ITERATIONS_DEFAULT,
  ITERATIONS_MAX,
  parsePasswordHash,
  PASSWORD_BYTES_MAX,
  passwordMistake,
  verifyPassword,
} from './password-hash.ts'
export type { HashAlgorithm, HashDefect, HashOptions, PasswordHash } from './password-hash.ts'
export { readPasswordFile, writePasswordFile } from './stored-password-file.ts'
export type { StoredPasswordFile } from './stored-password-file.ts'
export { isPlainUserName, userNameMistake } from './user-name.ts'
