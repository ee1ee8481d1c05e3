// The reference page and the JSON Schema have every option.
import { expect, test } from 'vitest'
import { configJsonSchema } from './json-schema.ts'
import { configMarkdown } from './markdown.ts'
import { leavesOf } from './schema-walk.ts'
import { configSchema } from './schema.ts'

test('the reference page has every option with its unit and its description', () => {
  const page = configMarkdown()
  for (const { path, text } of leavesOf(configSchema)) {
    expect(page).toContain(
      path.length === 1 && ['models', 'policy'].includes(path[0]!) ? path[0] : `| \`${path.join('.')}\` |`,
    )
    expect(page).toContain(text.description)
  }
  expect(page).toMatch(
    /\| `broker\.connectTimeoutMs` \| integer, 100 to 600000 \| milliseconds \| `10000` \|/,
  )
  expect(page).not.toMatch(/undefined|null|\[object/)
})

test('a name ends in the unit that the page tells', () => {
  const model = leavesOf(configSchema).filter(({ text }) => text.unit === 'ms' || text.unit === 's')
  for (const { path, text } of model) expect(path.at(-1)).toMatch(text.unit === 'ms' ? /Ms$/ : /Seconds$/)
})

test('the JSON Schema refuses unknown keys, knows the inputs and offers no secret', () => {
  const schema = configJsonSchema() as {
    $schema: string
    properties: Record<string, { properties: Record<string, unknown>; additionalProperties: unknown }>
  }
  expect(schema.$schema).toBe('https://json-schema.org/draft/2020-12/schema')
  expect(schema.properties['broker']).toMatchObject({
    additionalProperties: false,
    properties: {
      mqttVersion: { enum: [5, '3.1.1'] },
      keepAliveSeconds: { minimum: 1, maximum: 65_535 },
    },
  })
  expect(schema.properties['broker']!.properties).not.toHaveProperty('password')
  expect(JSON.stringify(schema)).not.toMatch(/isFile|isSecret|defaultText/)
  expect(schema.properties['models']).toMatchObject({ additionalProperties: { required: ['url'] } })
})
