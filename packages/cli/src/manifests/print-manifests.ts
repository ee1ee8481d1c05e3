// `inferwire manifests`: reads the files that are named, and prints the objects.
import { readFileSync } from 'node:fs'
import { ConfigError, loadConfig } from '@inferwire/connector'
import { isRefused, lintPasswordFile } from '@inferwire/mosquitto'
import { manifestParts, manifestText, OptionError, parseYamlMap } from '@inferwire/kubernetes'
import { CliError, usageError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'
import { note, readFile } from '../passwd/file-access.ts'
import { findingLine } from '../passwd/lint-file.ts'
import { manifestOptions, type ManifestFlags } from './manifest-flags.ts'

/** Prints them; what is still to be done goes to standard error. @throws CliError, ConfigError */
export function printManifests(flags: ManifestFlags): void {
  const options = manifestOptions(flags, {
    passwordFile: flags.passwordFile === undefined ? undefined : passwordText(flags),
    config: flags.config === undefined ? undefined : configValues(flags.config),
  })
  try {
    const { broker, connector } = manifestParts(options)
    const objects = [
      ...(flags.only === 'connector' ? [] : broker),
      ...(flags.only === 'mosquitto' ? [] : connector),
    ]
    process.stdout.write(manifestText(objects))
  } catch (error) {
    if (!(error instanceof OptionError)) throw error
    throw usageError(`${error.option} ${error.message}`, 'Options: inferwire manifests --help')
  }
  if (flags.only !== 'mosquitto' && flags.config === undefined && flags.model === undefined) {
    note('No models: give them with --model NAME=URL or --config FILE.')
  }
}

function passwordText({ passwordFile = '', mosquitto }: ManifestFlags): string {
  const { text } = readFile(passwordFile)
  const findings = lintPasswordFile(text)
  for (const finding of findings) process.stderr.write(findingLine(passwordFile, finding))
  if (!isRefused(findings, mosquitto ?? '2.0')) return text
  throw new CliError(
    EXIT.badInput,
    `${passwordFile} is not used: the broker would not take all of it`,
    'Correct the lines above.',
  )
}

function configValues(file: string): Record<string, unknown> {
  checkConfig(file)
  return parseYamlMap(readFileSync(file, 'utf8'))
}

// Everything but the files that it names: those are in the pod.
function checkConfig(file: string): void {
  try {
    loadConfig({ file, env: {} })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const mistakes = error.mistakes.filter(({ path }) => !/(?:^|\.)(?:file|[a-zA-Z]+File)$/.test(path))
    if (mistakes.length > 0) throw new ConfigError(mistakes)
  }
}
