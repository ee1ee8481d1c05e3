// The command line's short form of a model: NAME=URL[,protocol=v1|v2][,as=UPSTREAM_NAME].
import { ConfigError } from './config-error.ts'

const FORM = 'NAME=URL[,protocol=v1|v2][,as=UPSTREAM_NAME][,host=HOST]'
const KEYS = new Set(['protocol', 'as', 'host'])

/** The name, and what goes under it in `models`. @throws ConfigError that shows the right form. */
export function parseModelFlag(flag: string): [name: string, model: Record<string, string>] {
  const [first = '', ...settings] = flag.split(',')
  const equals = first.indexOf('=')
  if (equals < 1 || equals === first.length - 1) throw mistake(flag, `expected ${FORM}`)
  const model: Record<string, string> = { url: first.slice(equals + 1) }
  for (const setting of settings) {
    const [key = '', ...value] = setting.split('=')
    if (!KEYS.has(key) || value.length !== 1 || value[0] === '')
      throw mistake(flag, `does not understand "${setting}"; expected ${FORM}`)
    model[key] = value[0]!
  }
  return [first.slice(0, equals), model]
}

function mistake(flag: string, message: string): ConfigError {
  return new ConfigError([{ path: '', source: `--model ${flag}`, message }])
}
