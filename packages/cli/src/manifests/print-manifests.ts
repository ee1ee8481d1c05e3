// `inferwire manifests`: reads the files that its options name, and prints the objects.
import { readFileSync } from 'node:fs'
import { ConfigError, loadConfig } from '@inferwire/connector'
import { isRefused, lintPasswordFile } from '@inferwire/mosquitto'
import {
  entryPorts,
  manifestParts,
  manifestText,
  OptionError,
  parseYamlMap,
  traefikHelmValues,
  yamlText,
  type ManifestOptions,
} from '@inferwire/kubernetes'
import { CliError, usageError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'
import { note, readFile } from '../passwd/file-access.ts'
import { findingLine } from '../passwd/lint-file.ts'
import { manifestOptions, type ManifestFlags } from './manifest-flags.ts'

/** Prints the objects to standard output, and hints to standard error. @throws CliError, ConfigError */
export function printManifests(flags: ManifestFlags): void {
  const options = manifestOptions(flags, {
    passwordFile: flags.passwordFile === undefined ? undefined : passwordText(flags),
    config: flags.config === undefined ? undefined : configValues(flags.config),
  })
  try {
    process.stdout.write(textOf(options, flags.only))
  } catch (error) {
    if (!(error instanceof OptionError)) throw error
    throw usageError(
      `${error.option} ${error.message}`,
      error.remedy ?? 'Options: inferwire manifests --help',
    )
  }
  printHints(flags)
}

function textOf(options: ManifestOptions, only: ManifestFlags['only']): string {
  if (only === 'traefik') {
    return yamlText(traefikHelmValues(entryPorts(options.broker === false ? {} : options.broker)))
  }
  const { broker, connector } = manifestParts(options)
  return manifestText([...(only === 'connector' ? [] : broker), ...(only === 'mosquitto' ? [] : connector)])
}

function printHints({ only, config, model, port, expose = 'traefik' }: ManifestFlags): void {
  if (only === 'traefik') return
  if (only !== 'mosquitto' && config === undefined && model === undefined) {
    note('No models are configured. Add them with --model NAME=URL or --config FILE.')
  }
  if (port !== undefined && expose === 'traefik') {
    note(
      `Traefik must listen on port ${port}. The same command with --only traefik prints values for its Helm chart.`,
    )
  }
}

function passwordText({ passwordFile = '', mosquitto }: ManifestFlags): string {
  const { text } = readFile(passwordFile)
  const findings = lintPasswordFile(text)
  for (const finding of findings) process.stderr.write(findingLine(passwordFile, finding))
  if (!isRefused(findings, mosquitto ?? '2.0')) return text
  throw new CliError(
    EXIT.badInput,
    `${passwordFile} was not used: the broker would reject part of it`,
    'Correct the lines listed above.',
  )
}

function configValues(file: string): Record<string, unknown> {
  checkConfig(file)
  return parseYamlMap(readFileSync(file, 'utf8'))
}

// Ignores mistakes in options that name files, because the files are in the pod.
function checkConfig(file: string): void {
  try {
    loadConfig({ file, env: {} })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const mistakes = error.mistakes.filter(({ path }) => !/(?:^|\.)[a-zA-Z]+File$/.test(path))
    if (mistakes.length > 0) throw new ConfigError(mistakes)
  }
}
