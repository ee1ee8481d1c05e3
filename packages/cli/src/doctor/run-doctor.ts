// Runs `inferwire doctor`.
import { EXIT } from '../exit-code.ts'
import { exitOnInterrupt } from '../interrupt.ts'
import { writeOut } from '../write-out.ts'
import type { CheckResult } from './check.ts'
import { diagnose } from './diagnose.ts'
import type { DoctorFlags } from './open-context.ts'
import { isUtf8Locale, TextReport } from './report-text.ts'

/** Prints the results; resolves with the exit code. @throws CliError for options that are not valid */
export async function runDoctor(flags: DoctorFlags): Promise<number> {
  exitOnInterrupt()
  const text = flags.output === 'json' ? undefined : textReport()
  const results = await diagnose(flags, process.env, text)
  if (text === undefined) await writeOut(`${JSON.stringify(toJson(results), undefined, 2)}\n`)
  else text.ended(results)
  return isHealthy(results) ? EXIT.ok : EXIT.modelError
}

function textReport(): TextReport {
  return new TextReport({
    isTerminal: process.stdout.isTTY,
    isUtf8: isUtf8Locale(process.env),
    write: (text) => void process.stdout.write(text),
  })
}

function isHealthy(results: readonly CheckResult[]): boolean {
  return results.every(({ state }) => state !== 'fault')
}

function toJson(results: readonly CheckResult[]) {
  return { healthy: isHealthy(results), checks: results }
}
