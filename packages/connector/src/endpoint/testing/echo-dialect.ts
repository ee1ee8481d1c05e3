// A fictitious dialect, which shows that a new dialect needs only an entry in the table. Import this file first.
import { DIALECTS, type Dialect, type DialectKind } from '@inferwire/protocol'

/** The dialect's name, as in the configuration. */
export const ECHO = 'echo' as Dialect

const echo: DialectKind = {
  title: 'Echo',
  defaultOperation: 'infer',
  hasBinaryTensors: false,
  routes: {
    infer: { method: 'POST', path: '/echo/{model}' },
    metadata: { method: 'GET', path: '/echo/{model}/about' },
  },
}

Object.assign(DIALECTS, { [ECHO]: echo })
