// Prints the effective configuration as YAML, with secrets masked: the options that differ from the defaults, then the
// defaults.
import { Document, isMap, stringify } from 'yaml'
import { allOptions, isModelOption } from './all-options.ts'
import { valueAt } from './issue-mistakes.ts'
import { assign, loadConfig } from './load.ts'
import type { Leaf } from './schema-walk.ts'
import type { ConnectorConfig, ModelConfig } from './schema.ts'
import { MASK } from './secret.ts'

/**
 * Returns the output of `inferwire config print`. Loading this output results in the same configuration, because
 * the defaults are comments: one line for each option, so that `grep` finds an option by its path. The password is
 * a comment too, with `***` as its value, because a configuration file must not contain the password.
 */
export function printConfig(config: ConnectorConfig): string {
  const options = allOptions().filter(({ text }) => text.isSecret !== true)
  const defaults = defaultsOf(config)
  const unset = options.filter(
    (leaf) => isModelOption(leaf) || isSame(valueAt(config, leaf.path), valueAt(defaults.config, leaf.path)),
  )
  return [
    differencesText(config, defaults, options),
    defaultsText(
      'Defaults of the options that are not listed above; models.* stands for every model',
      defaults,
      unset,
      false,
    ),
    defaultsText('Defaults of the advanced options', defaults, unset, true),
  ].join('\n')
}

interface Defaults {
  readonly config: ConnectorConfig
  readonly model: ModelConfig
}

function defaultsOf({ name }: ConnectorConfig): Defaults {
  const models = { any: { url: 'http://127.0.0.1' } }
  const { name: hostName } = loadConfig({ env: {} })
  // A connector name is set, because the default of broker.clientId contains it.
  const { models: modelsByName, ...config } = loadConfig({ env: {}, flags: { name, models } })
  const { any } = modelsByName
  if (any === undefined) throw new Error('The defaults have no model.')
  return { config: { ...config, name: hostName, models: {} }, model: any }
}

function differencesText(config: ConnectorConfig, defaults: Defaults, options: readonly Leaf[]): string {
  const different: Record<string, unknown> = {}
  const models = Object.entries(config.models).map(([name, model]) => [
    name,
    modelDifferences(model, defaults.model, options),
  ])
  for (const leaf of options) {
    const { path } = leaf
    if (isModelOption(leaf)) {
      if (models.length > 0) different['models'] = Object.fromEntries(models)
    } else if (isCredential(leaf)) {
      if (Object.keys(config.credentials).length > 0) different['credentials'] = config.credentials
    } else {
      const value = valueAt(config, path)
      if (!isSame(value, valueAt(defaults.config, path))) assign(different, path, value)
    }
  }
  const { policy } = config
  if (policy?.showForbidden === false) different['policy'] = { allow: policy.allow }
  // The round trip through JSON prevents anchors and aliases for shared values. `compat` quotes text such as `yes`,
  // which YAML 1.1 reads as a boolean.
  const document = new Document(JSON.parse(JSON.stringify(different)), { compat: 'yaml-1.1' })
  const broker = document.get('broker')
  if (config.broker.password !== undefined && isMap(broker)) {
    broker.commentBefore = ` password: "${MASK}" (from the environment)`
  }
  const title =
    Object.keys(different).length === 0
      ? 'No option differs from the defaults'
      : 'Options that differ from the defaults'
  return `# ${title}\n${document.toString({ lineWidth: 0 })}`
}

function modelDifferences(
  model: ModelConfig,
  defaults: ModelConfig,
  options: readonly Leaf[],
): Record<string, unknown> {
  const different: Record<string, unknown> = {}
  for (const leaf of options.filter(isModelOption)) {
    const path = leaf.path.slice(2)
    const value = valueAt(model, path)
    if (isRequired(leaf) || !isSame(value, valueAt(defaults, path))) assign(different, path, value)
  }
  return different
}

function defaultsText(
  title: string,
  defaults: Defaults,
  unset: readonly Leaf[],
  isAdvanced: boolean,
): string {
  const lines = unset
    .filter((leaf) => !isRequired(leaf) && (leaf.text.isAdvanced === true) === isAdvanced)
    .map((leaf) => {
      const value = isModelOption(leaf)
        ? valueAt(defaults.model, leaf.path.slice(2))
        : valueAt(defaults.config, leaf.path)
      return `# ${leaf.path.join('.')}: ${value === undefined ? inWords(leaf) : inOneLine(value)}\n`
    })
  return `# ${title}\n${lines.join('')}`
}

function inWords({ text }: Leaf): string {
  return `(${(text.defaultText ?? 'not set').replaceAll('`', '')})`
}

function inOneLine(value: unknown): string {
  return stringify(value, { lineWidth: 0, collectionStyle: 'flow' }).trimEnd()
}

function isCredential({ path }: Leaf): boolean {
  return path[0] === 'credentials'
}

function isRequired({ schema }: Leaf): boolean {
  return !schema.safeParse(undefined).success
}

function isSame(one: unknown, other: unknown): boolean {
  return JSON.stringify(one) === JSON.stringify(other)
}
