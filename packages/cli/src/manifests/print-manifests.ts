// Runs `inferwire manifests`: reads the files that its options name, and prints the objects.
import { readFileSync } from 'node:fs'
import { ConfigError, loadConfig, type ConfigInput } from '@inferwire/connector'
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
import { CliError } from '../cli-error.ts'
import { EXIT } from '../exit-code.ts'
import { readFile } from '../passwd/file-access.ts'
import { findingLine } from '../passwd/lint-file.ts'
import { checkFlags, flagError, manifestOptions, modelsOf, type ManifestFlags } from './manifest-flags.ts'
import { printHints } from './print-hints.ts'

/** Prints the objects to standard output, and hints to standard error. @throws CliError, ConfigError */
export function printManifests(flags: ManifestFlags): void {
  checkFlags(flags)
  checkConfig(flags)
  const config = flags.config === undefined ? undefined : parseYamlMap(readFileSync(flags.config, 'utf8'))
  const passwordFile = flags.passwordFile === undefined ? undefined : passwordText(flags)
  const options = manifestOptions(flags, { passwordFile, config })
  try {
    process.stdout.write(textOf(options, flags.only))
  } catch (error) {
    throw error instanceof OptionError ? flagError(error, flags) : error
  }
  printHints(flags, config)
}

function textOf(options: ManifestOptions, only: ManifestFlags['only']): string {
  if (only === 'traefik') {
    return yamlText(traefikHelmValues(entryPorts(options.broker === false ? {} : options.broker)))
  }
  const { broker, connector, kubeflow } = manifestParts(options)
  const parts = { mosquitto: broker, connector, kubeflow }
  return manifestText(only === undefined ? Object.values(parts).flat() : parts[only])
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

// Ignores mistakes in options that name files, because those files exist only in the pod. Also ignores a missing user
// name, because the objects set one.
function checkConfig(flags: ManifestFlags): void {
  try {
    loadConfig({ file: flags.config, env: {}, flags: { models: modelsOf(flags) as ConfigInput['models'] } })
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const mistakes = error.mistakes.filter(
      ({ path, message }) =>
        !/(?:^|\.)[a-zA-Z]+File$/.test(path) &&
        !(path === 'broker.username' && message.startsWith('is missing')),
    )
    if (mistakes.length > 0) throw new ConfigError(mistakes)
  }
}
