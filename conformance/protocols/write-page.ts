// `npm run protocols`: writes docs/protocols.md. The contract suite proves every line of the page.
import { writeFileSync } from 'node:fs'
import { protocolsPage } from './page.ts'

writeFileSync(new URL('../../docs/protocols.md', import.meta.url), protocolsPage())
console.log('wrote docs/protocols.md')
