// Runs all checks for the given options.
import type { CheckResult } from './check.ts'
import { CHECKS } from './checks.ts'
import { closeCluster } from './cluster/open-cluster.ts'
import { closeLinks } from './context.ts'
import { openContext, type DoctorFlags } from './open-context.ts'
import { runChecks, type Progress } from './run-checks.ts'

const SILENT: Progress = { started: () => {}, finished: () => {} }

/** Resolves with the result of each check. @throws CliError for options that are not valid */
export async function diagnose(
  flags: DoctorFlags,
  env: NodeJS.ProcessEnv,
  progress: Progress = SILENT,
): Promise<CheckResult[]> {
  const context = openContext(flags, env)
  try {
    return await runChecks(CHECKS, context, progress)
  } finally {
    await Promise.all([closeLinks(context.links), closeCluster(context)])
  }
}
