/* SPDX-License-Identifier: MIT */
/* Reads the presets of mkinitcpio. */
#include "kernel-params/boot/mkinitcpio.h"

#include <stdio.h>
#include <string.h>

#define PRESETS_MAX 16

/* Whether a word is the option SHORT or LONG, or has it before its value, which
 * *ret_value then is. */
static bool is_option(const char *word, char letter, const char *name,
		      const char **ret_value)
{
	size_t n = strlen(name);

	*ret_value = NULL;
	if (word[0] != '-')
		return false;
	if (letter && word[1] == letter) {
		*ret_value = word[2] ? word + 2 : NULL;
		return true;
	}
	if (word[1] != '-' || strncmp(word + 2, name, n) != 0)
		return false;
	word += 2 + n;
	*ret_value = *word == '=' ? word + 1 : NULL;
	return !*word || *word == '=';
}

static void put_behind(char *list, size_t size, const char *word)
{
	size_t n = strlen(list);

	snprintf(list + n, size - n, "%s%s,", n ? "" : ",", word);
}

static void set_conf(struct pst_host_mkinitcpio_image *i, const char *path)
{
	i->dropins = pst_host_path(i->conf, "%s", path + strspn(path, "/")) < 0;
}

static int take_options(const char *value, struct pst_host_mkinitcpio_image *im)
{
	static const struct {
		char letter;
		const char *name;
	} options[] = {
		{'c', "config"}, {'S', "skiphooks"}, {'A', "addhooks"},
		{'A', "add"},    {'\0', "cmdline"},
	};
	PST_HOST_CLEANUP_NAMES struct pst_host_names words = {0};
	int r = pst_host_setting_words(value, &words);
	const char *with;
	size_t i, k;

	for (i = 0; r == 0 && i < words.n; i++) {
		for (k = 0; k < PST_ARRAY_SIZE(options); k++)
			if (is_option(words.name[i], options[k].letter,
				      options[k].name, &with))
				break;
		if (k == PST_ARRAY_SIZE(options))
			continue;
		if (!with && i + 1 < words.n)
			with = words.name[++i];
		if (!with)
			continue;
		if (k == 0)
			set_conf(im, with);
		else if (k == 1)
			put_behind(im->skip, sizeof(im->skip), with);
		else if (k == 4)
			(void)!pst_host_path(im->cmdline, "%s",
					     with + strspn(with, "/"));
		else
			put_behind(im->add, sizeof(im->add), with);
	}
	return r;
}

static void add_image(struct pst_host_mkinitcpio *m,
		      const struct pst_host_mkinitcpio_image *im)
{
	size_t i;

	for (i = 0; i < m->n; i++)
		if (strcmp(m->image[i].conf, im->conf) == 0 &&
		    m->image[i].dropins == im->dropins &&
		    strcmp(m->image[i].cmdline, im->cmdline) == 0 &&
		    strcmp(m->image[i].skip, im->skip) == 0 &&
		    strcmp(m->image[i].add, im->add) == 0)
			return;
	if (m->n < PST_HOST_MKINITCPIO_IMAGES)
		m->image[m->n++] = *im;
}

/* One word of PRESETS. */
static int take_preset(const char *text, const char *path, const char *name,
		       struct pst_host_mkinitcpio *m,
		       char fault[PST_HOST_FAULT_MAX])
{
	struct pst_host_mkinitcpio_image im = {.conf = PST_HOST_MKINITCPIO_CONF,
					       .dropins = true};
	char config[80], options[80];
	struct pst_host_setting s[] = {
		{.name = "ALL_config"}, {.name = config}, {.name = options}};
	const char *conf;
	int r;

	snprintf(config, sizeof(config), "%.60s_config", name);
	snprintf(options, sizeof(options), "%.60s_options", name);
	r = pst_host_settings_take(text, path, s, PST_ARRAY_SIZE(s), fault);
	conf = s[1].value && *s[1].value ? s[1].value : s[0].value;
	if (conf && *conf)
		set_conf(&im, conf);
	if (r == 0)
		r = take_options(s[2].value, &im);
	if (r == 0)
		add_image(m, &im);
	pst_host_settings_done(s, PST_ARRAY_SIZE(s));
	return r;
}

static int take_file(const char *text, const char *path,
		     struct pst_host_mkinitcpio *m,
		     char fault[PST_HOST_FAULT_MAX])
{
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	struct pst_host_setting s = {.name = "PRESETS"};
	size_t i;
	int r = pst_host_settings_take(text, path, &s, 1, fault);

	if (r == 0)
		r = pst_host_setting_words(s.value ? s.value : "default",
					   &names);
	pst_host_settings_done(&s, 1);
	for (i = 0; r == 0 && i < names.n && i < PRESETS_MAX; i++)
		if (strcmp(names.name[i], "fallback") != 0)
			r = take_preset(text, path, names.name[i], m, fault);
	return r;
}

int pst_host_mkinitcpio_scan(const struct pst_host_root *root,
			     struct pst_host_mkinitcpio *ret,
			     char fault[PST_HOST_FAULT_MAX])
{
	static const char dir[] = "etc/mkinitcpio.d", ext[] = ".preset";
	PST_HOST_CLEANUP_NAMES struct pst_host_names names = {0};
	char path[PST_HOST_ROOT_PATH_MAX];
	size_t i, n, len;
	int r = 0;

	ret->n = 0;
	if (pst_host_root_list(root, dir, &names) < 0)
		names.n = 0;
	for (i = 0; r == 0 && i < names.n && i < PST_HOST_ROOT_CONF_FILES;
	     i++) {
		PST_CLEANUP_FREE char *text = NULL;

		n = strlen(names.name[i]);
		if (n > strlen(ext) &&
		    strcmp(names.name[i] + n - strlen(ext), ext) == 0 &&
		    pst_host_path(path, "%s/%s", dir, names.name[i]) == 0 &&
		    pst_host_root_read(root, path, PST_HOST_ROOT_CONF_MAX,
				       &text, &len) == 0)
			r = take_file(text, path, ret, fault);
	}
	if (!ret->n)
		ret->image[ret->n++] = (struct pst_host_mkinitcpio_image){
			.conf = PST_HOST_MKINITCPIO_CONF, .dropins = true};
	return r;
}
