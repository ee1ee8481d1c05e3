// Parses the value of --model: NAME=URL, followed by optional settings.
import { isModelName, protocolVersions } from '@inferwire/protocol'
import { ConfigError } from './config-error.ts'
import { renamedMessage, renamedOption } from './renamed-options.ts'
import { shownKey, withoutUserinfo } from './shown.ts'

const FORM = `NAME=URL[,protocolVersion=${protocolVersions().join('|')}][,modelName=NAME_ON_SERVER][,host=HOST]`
const KEYS = new Set(['protocolVersion', 'modelName', 'host'])

/** Returns the name of the model and its options. @throws ConfigError with the expected form */
export function parseModelFlag(flag: string): [name: string, model: Record<string, string>] {
  const [first = '', ...settings] = flag.split(',')
  const equals = first.indexOf('=')
  if (equals < 1 || equals === first.length - 1) throw mistake(flag, `expected ${FORM}`)
  const name = first.slice(0, equals)
  if (!isModelName(name) || name.includes('@')) {
    throw mistake(
      flag,
      `${shownKey(name)} is not a model name (letters, digits, ".", "_", "-"); expected ${FORM}`,
    )
  }
  const model: Record<string, string> = { url: first.slice(equals + 1) }
  const renamed = settings.flatMap((setting) => {
    const option = renamedOption(['models', name], setting.split('=')[0] ?? '', model)
    return option === undefined ? [] : [renamedMessage(option)]
  })
  if (renamed.length > 0) throw mistake(flag, renamed.join('; '))
  for (const setting of settings) {
    const [key = '', ...value] = setting.split('=')
    if (!KEYS.has(key) || value.length !== 1 || value[0] === '')
      throw mistake(flag, `has the unknown setting ${shownKey(withoutUserinfo(setting))}; expected ${FORM}`)
    if (Object.hasOwn(model, key)) throw mistake(flag, `sets ${key} twice`)
    model[key] = value[0]!
  }
  return [name, model]
}

function mistake(flag: string, message: string): ConfigError {
  return new ConfigError([{ path: '', source: `--model ${shown(flag)}`, message }])
}

// The message must not show a password in a URL, even if the flag is invalid.
function shown(flag: string): string {
  const url = flag.indexOf('=') + 1
  return shownKey(flag.slice(0, url) + withoutUserinfo(flag.slice(url)))
}
