// Runs `inferwire passwd --lint FILE`: reports mistakes in a password file.
import { lintPasswordFile, lintPermissions, parsePasswordFile, type LintFinding } from '@inferwire/mosquitto'
import { EXIT } from '../exit-code.ts'
import { printable } from '../table.ts'
import { readFile } from './file-access.ts'

/** Prints the findings, one per line. Sets `process.exitCode` to 65 if any finding is an error. @throws CliError */
export function lintFile(file: string): void {
  const stored = readFile(file)
  const findings = [...lintPermissions(stored), ...lintPasswordFile(stored.text)]
  process.stdout.write(findings.map((finding) => findingLine(file, finding)).join(''))
  if (findings.length === 0) {
    const { size } = parsePasswordFile(stored.text).users
    process.stdout.write(`${printable(file)}: ${size === 1 ? '1 user' : `${size} users`}, no mistakes\n`)
  }
  if (findings.some(({ level }) => level === 'error')) process.exitCode = EXIT.badInput
}

/** Returns `FILE:LINE: error: message. Remedy.` */
export function findingLine(file: string, { line, level, message, remedy }: LintFinding): string {
  const place = line === undefined ? file : `${file}:${line}`
  return `${printable(`${place}: ${level}: ${message}. ${remedy}`)}\n`
}
