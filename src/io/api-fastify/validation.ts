import type { FastifySchemaCompiler } from 'fastify';
import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { DetailedError } from '#io/http-fastify/api-error.ts';

/** What is wrong in one place is enough to begin with; a hostile body has thousands. */
const PROBLEM_LIMIT = 8;

/** Judges requests by the same schemas that types and documents come from. What is text by nature is read as what its schema says. */
export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  const validator = Compile(schema);
  const isText = httpPart === 'querystring' || httpPart === 'params';
  return (data: unknown) => {
    const value = isText && !hasLists(data) ? validator.Convert(data) : data;
    if (hasNul(value))
      return {
        error: new DetailedError('INPUT_INVALID', `${httpPart ?? 'body'} has a NUL character, which is no text`, {}),
      };
    if (validator.Check(value)) return { value };
    const problems = validator
      .Errors(value)
      .slice(0, PROBLEM_LIMIT)
      .map(({ instancePath, message }) => ({ at: instancePath, message }));
    const where = `${httpPart ?? 'body'}${problems[0]?.at ?? ''}`;
    const message = `${where} ${problems[0]?.message ?? 'is not as the route asks for'}`;
    return { error: new DetailedError('INPUT_INVALID', message, { details: { problems } }) };
  };
};

/** A parameter that came twice is no text, and must not be read as one. */
function hasLists(data: unknown): boolean {
  return typeof data === 'object' && data !== null && Object.values(data).some((value) => typeof value === 'object');
}

/** PostgreSQL takes no text with a NUL in it, and nobody means one. Names of members count too; not recursive, for bodies are deep. */
function hasNul(data: unknown): boolean {
  const left: unknown[] = [data];
  for (let each = left.pop(); each !== undefined || left.length > 0; each = left.pop()) {
    if (typeof each === 'string' && each.includes('\0')) return true;
    if (typeof each === 'object' && each !== null) left.push(...Object.keys(each), ...Object.values(each));
  }
  return false;
}
